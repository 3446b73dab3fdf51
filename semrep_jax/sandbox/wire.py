"""Plain values across the wall, as JSON that remembers the Python type.

    encode((1, [2.5], {"a": b"x"}))  ->  ["t", 1, ["l", ["f", "2.5"]], ["d", ["a", ["b", "78"]]]]

None, bool, int and str are themselves; float is ["f", repr]; list, tuple, set, frozenset, bytes, complex and dict are
lists that begin with a tag ("l", "t", "s", "z", "b", "c", "d"). Only *exact* builtin types cross: an instance of a
subclass, whose methods a stranger wrote, is `Unencodable`, and no method of a value is ever called before its type is
checked. Loaded by the zygote by path, so it imports only the standard library.
"""

import json as _json
import math as _math

MAX_NODES = 200_000
MAX_DEPTH = 60
MAX_INT_BITS = 13_000
MOST_ALIKE = 2_000  # keys of a set or dict beyond the first of each hash


class Unencodable(Exception):
    """The value is of a type, a size or a depth that does not cross the wall."""


def encode(value, _type=type, _len=len):
    """Wire form of `value`; raises Unencodable for anything but bounded plain builtins.

    `_type` and `_len` are the real ones, whatever a candidate has put in their place since.
    """
    budget = [MAX_NODES]

    def walk(v, depth):
        budget[0] -= 1
        if budget[0] < 0 or depth > MAX_DEPTH:
            raise Unencodable("value too large or nested too deeply")
        t = _type(v)
        if v is None or t is bool:
            return v
        if t is int:
            if v.bit_length() > MAX_INT_BITS:
                raise Unencodable("integer too large")
            return v
        if t is str:
            budget[0] -= _len(v) // 16
            return v.encode("utf-8", "backslashreplace").decode()
        if t is float:
            return ["f", repr(v)]
        if t is list:
            return ["l"] + [walk(x, depth + 1) for x in v]
        if t is tuple:
            return ["t"] + [walk(x, depth + 1) for x in v]
        if t is dict:
            return ["d"] + sorted(([walk(k, depth + 1), walk(x, depth + 1)] for k, x in v.items()), key=_json.dumps)
        if t is set or t is frozenset:
            return ["s" if t is set else "z", *sorted((walk(x, depth + 1) for x in v), key=_json.dumps)]
        if t is bytes:
            return ["b", v.hex()]
        if t is complex:
            return ["c", repr(v.real), repr(v.imag)]
        raise Unencodable("a value of type " + str(t.__name__)[:80])

    return walk(value, 0)


def decode(wire):
    """The Python value of a wire form (a fresh object every time); raises ValueError for what is none, and for keys
    that were made to be slow."""
    if wire is None or type(wire) in (bool, int, str):
        return wire
    if type(wire) is not list or not wire:
        raise ValueError(f"not a wire value: {wire!r:.80}")
    tag, rest = wire[0], wire[1:]
    if tag == "f":
        return float(rest[0])
    if tag == "l":
        return [decode(x) for x in rest]
    if tag == "t":
        return tuple([decode(x) for x in rest])
    if tag == "d":
        keys = _spread([decode(k) for k, _ in rest])
        return dict(zip(keys, [decode(v) for _, v in rest], strict=True))
    if tag == "s":
        return set(_spread([decode(x) for x in rest]))
    if tag == "z":
        return frozenset(_spread([decode(x) for x in rest]))
    if tag == "b":
        return bytes.fromhex(rest[0])
    if tag == "c":
        return complex(float(rest[0]), float(rest[1]))
    raise ValueError(f"unknown wire tag {tag!r}")


def _spread(keys):
    """The keys of a table, of which not too many have one hash: a table of such takes quadratic time to make."""
    hashes = [hash(key) for key in keys]
    if len(hashes) - len(set(hashes)) > MOST_ALIKE:
        raise ValueError(f"more than {MOST_ALIKE} keys of a hash that others have")
    return keys


def same(a, b, tolerance=0.0):
    """Whether two wire forms are equal, types included; floats within `tolerance` (relative, absolute), NaN is NaN."""
    if type(a) is not type(b):
        return False
    if type(a) is not list:
        return a == b
    if len(a) != len(b) or not a or a[0] != b[0]:
        return False
    if a[0] == "f":
        x, y = float(a[1]), float(b[1])
        both_nan = _math.isnan(x) and _math.isnan(y)
        return x == y or both_nan or _math.isclose(x, y, rel_tol=tolerance, abs_tol=tolerance)
    if a[0] == "d":
        return all(same(k, j, tolerance) and same(v, w, tolerance) for (k, v), (j, w) in zip(a[1:], b[1:], strict=True))
    return all(same(x, y, tolerance) for x, y in zip(a[1:], b[1:], strict=True))
