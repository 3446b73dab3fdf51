"""Wire forms of values (see `values`) as one would write them in Python.

    written(["new", "Account", [3], []])       # "Account(3)"

The forms come from strangers' processes: they are only read, never made into objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def written(wire: Any) -> str:
    """A wire form as one would write it in Python; whatever it is, a text."""
    try:
        return _written(wire)
    except Exception:
        return str(wire)[:80]


def _joined(wires: Sequence[Any]) -> str:
    return ", ".join(_texts(wires))


def _texts(wires: Sequence[Any]) -> list[str]:
    """Each as one would write it, and by a name (`x := [1]`, `x`) what stands there again."""
    again = [wire[1] for wire in wires if type(wire) is list and wire and wire[0] == "same"]
    names = dict(zip(dict.fromkeys(again), "xyzuvw", strict=False))
    texts = [names[w[1]] if type(w) is list and w and w[0] == "same" else _written(w) for w in wires]
    return [f"{names[i]} := {text}" if i in names else text for i, text in enumerate(texts)]


def _call_written(name: str, args: Sequence[Any], kwargs: Sequence[Any]) -> str:
    given = _texts(args) + [f"{k}={_written(x)}" for k, x in kwargs]
    return f"{name}({', '.join(given)})"


def _written(wire: Any) -> str:
    if type(wire) is not list:
        return repr(wire)
    tag, rest = wire[0], wire[1:]
    match tag:
        case "f":
            return rest[0]
        case "i":
            return f"{rest[0][:12]}... ({len(rest[0]) * 4} bits)"
        case "u":
            return f"'{rest[0]}'"
        case "b":
            return repr(bytes.fromhex(rest[0]))
        case "c":
            return repr(complex(float(rest[0]), float(rest[1])))
        case "l":
            return f"[{_joined(rest)}]"
        case "t":
            return f"({_joined(rest)}{',' if len(rest) == 1 else ''})"
        case "s":
            return f"{{{_joined(rest)}}}" if rest else "set()"
        case "z":
            return f"frozenset({{{_joined(rest)}}})" if rest else "frozenset()"
        case "d" | "D":
            return "{" + ", ".join(f"{_written(k)}: {_written(x)}" for k, x in rest) + "}"
        case "x":
            return _library_written(*rest)
        case "o":
            state = ", ".join(f"{k}={_written(x)}" for k, x in rest[2][1:])
            content = "" if rest[1] is None else _written(rest[1]) + (", " if state else "")
            given = (
                "" if state else "".join(f", {use[0]} gives {use[1][0] or _written(use[1][1])}" for use in rest[3][:3])
            )
            return f"{rest[0]}({content}{state})" + (f" (where{given[1:]})" if given else "")
        case "e":
            return f"{rest[0]}.{rest[1]}"
        case "text":
            return "..."
        case "class":
            name = rest[0].removeprefix("candidate.")
            made = [error or _written(value) for error, value in rest[2]] if rest[1:] else []
            return f"{name} (a class with {_written(rest[1])}, which makes {', '.join(made)})" if rest[1:] else name
        case "it":
            end = {"end": "", "more": ", ...", "closed": ", closed"}.get(rest[1], f", then {rest[1]}")
            if rest[3:]:
                count, checksum = rest[3]
                return f"an iterator over [{_joined(rest[0][:6])}, ...; {len(rest[0]) + count} items, {checksum}{end}]"
            return f"an iterator over [{_joined(rest[0])}{end}]"
        case "fn":
            results = [f"{_written(given)} -> {error or _written(value)}" for given, error, value in rest[:3]]
            return f"a function ({'; '.join(results)})"
        case "with":
            return f"a context of {rest[0][0] or _written(rest[0][1])}"
        case "aw":
            return f"{_written(rest[0])} when it is awaited"
        case "new":
            return _call_written(*rest)
        case "member":
            return f"{rest[0]}.{rest[1]}"
        case "iter":
            inside = f"[{_joined(rest[1])}]"
            return {"generator": f"(x for x in {inside})", "map": f"map(same, {inside})"}.get(
                rest[0], f"iter({inside})"
            )
        case "aiter":
            return f"<asynchronous: {_joined(rest[0])}>"
        case "coroutine":
            return f"<coroutine: {_written(rest[0])}>"
        case "flags":
            return " | ".join(f"{rest[0]}.{name}" for name in rest[1]) or f"{rest[0]}(0)"
        case "call":
            failing = f", raising {rest[1]} in its first {rest[2]} calls" if rest[1:] and rest[1] else ""
            number = f" {rest[3]}" if rest[3:] else ""
            return f"callback{number}({rest[0]}{failing})"
        case "thing":
            return f"object({', '.join(f'{k}={_written(x)}' for k, x in rest[0])})"
        case "graph":
            objects = [
                f"{n}: object({', '.join(f'{k}={_written(x)}' for k, x in one)})" for n, one in enumerate(rest[0])
            ]
            return f"<{'all' if rest[1] is None else f'number {rest[1]}'} of the objects {', '.join(objects)}>"
        case "at":
            return f"#{rest[0]}"
        case "expr":
            return rest[0]
        case "call*":
            return ", ".join(_texts(rest[0]) + [f"{k}={_written(x)}" for k, x in rest[1]])
    return str(wire)[:80]


def _library_written(name: str, content: Any) -> str:
    short = name.rpartition(".")[2]
    if isinstance(content, str):
        return f"{short}({content!r})"
    if name == "collections.defaultdict" and isinstance(content[0], list):
        error, value = content[0]
        return f"defaultdict(lambda: {error or _written(value)}, {_written(content[1])})"
    if name in ("builtins.range", "fractions.Fraction", "builtins.slice"):
        return short + _written(content)
    if name == "function":
        return content[0]
    if name == "datetime.timedelta":
        return f"timedelta(days={content[0]}, seconds={content[1]}, microseconds={content[2]})"
    if name.startswith(("datetime", "re.", "io.", "_io.", "numpy")):
        return f"{short}({content[0]!r})"
    if isinstance(content, list) and content and content[0] in ("D", "d", "l", "t"):
        return f"{short}({_written(content)})"
    if name in ("collections.deque", "array.array"):
        return f"{short}([{_joined(content[1:])}])"
    return f"{short}({_joined(content)})"
