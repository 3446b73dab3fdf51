"""The rule that makes one kernel of two that are launched one after the other, over the same elements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tree_sitter import Node

from semrep_jax.cuda.rewrites.mapping import OneEach, arguments, as_launch, between, lone_subscripts, one_each, same
from semrep_jax.cuda.rewrites.qualifiers import apart
from semrep_jax.cuda.rewrites.rule import CudaRule, Edit, Listing, replace, said, spliced, substituted, walk
from semrep_jax.cuda.rewrites.split import FIRST, SECOND, repeatable, written
from semrep_jax.cuda.rewrites.trees import assigned, declared, initialised, names, operator, plain, prefix, sides, types


@dataclass(frozen=True)
class Pair:
    """Two kernels launched one after the other over the same elements, and what each gives to its parameters."""

    first: OneEach
    second: OneEach
    given: tuple[dict[str, str], dict[str, str]]


@dataclass(frozen=True)
class Passed:
    """What goes from the first kernel to the second by a scratch buffer: its one store, the variable stored (or None), its loads."""

    buffer: str
    store: Node
    variable: str | None
    loads: list[Node]


def fuse(listing: Listing) -> Iterator[Listing]:
    """Two kernels over the same elements, launched one after the other -> one.

    What one writes and the other reads or writes may be touched at the thread's own element only. A scratch buffer between them goes.
    """
    shapes = {k.name: one_each(listing, k) for k in listing.kernels}
    for place, launches in enumerate(pairwise(listing.plan["launch"])):
        first, second = (shapes.get(one["kernel"].strip()) for one in launches)
        if first is None or second is None or len(first.launches) != 1 or len(second.launches) != 1:
            continue
        given = arguments(listing, first.kernel, place), arguments(listing, second.kernel, place + 1)
        pair = Pair(first, second, given)
        if _alike(pair) and apart(listing, first.kernel) and apart(listing, second.kernel) and _independent(pair):
            yield _fused(listing, pair)


def _alike(pair: Pair) -> bool:
    """Whether both are launched with as many threads, for as many elements, and the first leaves its parameters as they are."""
    (a,), (b,) = pair.first.launches, pair.second.launches
    counts = [as_launch(s.count, g) for s, g in zip((pair.first, pair.second), pair.given, strict=True)]
    changed = assigned(pair.first.kernel.body) & {p.name for p in pair.first.kernel.parameters}
    return (
        a.block == b.block
        and same(a.grid, b.grid)
        and None not in counts
        and same(str(counts[0]), str(counts[1]))
        and not changed
    )


def _buffers(shape: OneEach, given: dict[str, str], writable: bool = False) -> dict[str, str]:
    """Buffers by the parameter that leads to them; only those that may be written where `writable`."""
    return {name: given[name] for name, p in shape.kernel.pointers.items() if not writable or not p.const}


def _independent(pair: Pair) -> bool:
    """Whether each buffer that both use, and one writes, is touched at the thread's own element only."""
    both = list(zip((pair.first, pair.second), pair.given, strict=True))
    used = [set(_buffers(s, g).values()) for s, g in both]
    critical = used[0] & used[1] & set().union(*(_buffers(s, g, writable=True).values() for s, g in both))
    return all(
        lone_subscripts(s.rest, p, s.same) is not None
        for s, g in both
        for p, b in _buffers(s, g).items()
        if b in critical
    )


def _fused(listing: Listing, pair: Pair) -> Listing:
    first, second = pair.first, pair.second
    place, plan = first.launches[0].place, listing.copied_plan()
    renames, parameters, given = _merged(pair)
    again = [n for n in second.rest if n.type == "declaration" and _repeated(n, pair, renames)]
    renames |= _disjoint(pair, renames, {n for d in again for n in declared(d)})
    one, two = list(first.rest), [n for n in second.rest if n not in again]
    edits: list[Edit] = []
    passed = _passed(listing, pair)
    if passed is not None:
        edits = _handed_over(listing, pair, passed, one, two, renames)
        parameters = [p for p in parameters if given[p] != passed.buffer]
        plan["scratch"].pop(passed.buffer)
        if not plan["scratch"]:
            plan.pop("scratch")
    done = list(edits)
    for node in two:
        edits += [e for e in substituted(node, renames) if not any(a <= e[0] < b for a, b, _ in done)]
    text = "\n    ".join(between(nodes, "    ", edits) for nodes in (one, two) if nodes)
    title = _title(listing, first.kernel.name, second.kernel.name)
    code = written(first.kernel, title, _parameters(pair, parameters, renames), first, text)
    plan["launch"][place : place + 2] = [
        plan["launch"][place] | {"kernel": title, "args": [given[p] for p in parameters]}
    ]
    early, late = sorted((first.kernel.node, second.kernel.node), key=lambda n: n.start_byte)
    after = early.next_sibling
    gone = (early.start_byte, after.start_byte if after is not None else early.end_byte, "")
    return listing.changed([gone, replace(late, code)], plan)


def _handed_over(
    listing: Listing, pair: Pair, passed: Passed, one: list[Node], two: list[Node], renames: dict[str, str]
) -> list[Edit]:
    """The edits that pass a variable instead of a buffer. Takes statements out of `one` and `two` that are needless then."""
    if passed.variable is None:
        name = listing.fresh("passed")
        value = sides(passed.store.named_children[0])[1]
        return [
            (passed.store.start_byte, value.start_byte, f"float {name} = "),
            *(replace(n, name) for n in passed.loads),
        ]
    one.remove(passed.store)
    received = _received(two, passed.loads, pair)
    if received is None:
        return [replace(n, passed.variable) for n in passed.loads]
    two.remove(received[0])
    renames[received[1]] = passed.variable
    return []


def _merged(pair: Pair) -> tuple[dict[str, str], list[str], dict[str, str]]:
    """New names in the second kernel for what the first has under another, the parameters in order, and what they are given."""
    given = dict(pair.given[0])
    by_value = {b: p for p, b in given.items()}
    taken = names(pair.first.kernel.node) | names(pair.second.kernel.node)
    renames: dict[str, str] = {pair.second.index: pair.first.index}
    for p in pair.second.kernel.parameters:
        value = pair.given[1][p.name]
        if value in by_value:
            renames[p.name] = by_value[value]
        else:
            renames[p.name] = p.name if p.name not in names(pair.first.kernel.node) else _fresh(p.name, taken)
            given[renames[p.name]] = value
    pointers = {
        p
        for shape in (pair.first, pair.second)
        for p in (renames.get(n, n) if shape is pair.second else n for n in shape.kernel.pointers)
    }
    order = [*(p for p in given if p in pointers), *(p for p in given if p not in pointers)]
    return {a: b for a, b in renames.items() if a != b}, order, given


def _fresh(name: str, taken: set[str]) -> str:
    found = next(f"{name}{i}" for i in range(1, 10_000) if f"{name}{i}" not in taken)
    taken.add(found)
    return found


def _parameters(pair: Pair, order: list[str], renames: dict[str, str]) -> list[str]:
    """The texts of the parameters; one that both kernels have is not const where one of them writes."""
    texts: dict[str, str] = {}
    for shape in (pair.second, pair.first):
        for p in shape.kernel.parameters:
            name = renames.get(p.name, p.name) if shape is pair.second else p.name
            if name in texts and p.pointer and p.const:
                continue
            new = [(n.start_byte, n.end_byte, name) for n in walk(p.node, "identifier") if said(n) == p.name]
            texts[name] = spliced(p.node, new)
    return [texts[name] for name in order]


def _repeated(node: Node, pair: Pair, renames: dict[str, str]) -> bool:
    """Whether the first kernel declares just the same, and neither changes it."""
    firsts, seconds = (repeatable(s, [n for n in s.rest if n.type == "declaration"]) for s in (pair.first, pair.second))
    mine = plain(spliced(node, substituted(node, renames)))
    return node in seconds and any(plain(said(n)) == mine for n in firsts)


def _disjoint(pair: Pair, renames: dict[str, str], kept: set[str]) -> dict[str, str]:
    """New names for variables of the second kernel that the first has as well."""
    taken = names(pair.first.kernel.node) | names(pair.second.kernel.node) | set(renames.values())
    clash = (declared(pair.second.kernel.body) - {pair.second.index} - kept) & (
        names(pair.first.kernel.node) | set(renames.values())
    )
    return {name: _fresh(name, taken) for name in sorted(clash)}


def _passed(listing: Listing, pair: Pair) -> Passed | None:
    """What is passed by a scratch buffer that nothing else uses: stored once in the first kernel, only loaded in the second."""
    (first, a), (second, b) = zip((pair.first, pair.second), pair.given, strict=True)
    for parameter, buffer in _buffers(first, a, writable=True).items():
        readers = [p for p, to in _buffers(second, b).items() if to == buffer]
        uses = sum(argument == buffer for launch in listing.plan["launch"] for argument in launch["args"])
        if buffer not in (listing.plan.get("scratch") or {}) or uses != 2 or len(readers) != 1:
            continue
        stores = lone_subscripts(first.rest, parameter, first.same) or []
        loads = lone_subscripts(second.rest, readers[0], second.same)
        statement = (
            _stores(first, stores[0]) if len(stores) == 1 and first.kernel.pointers[parameter].type == "float" else None
        )
        if statement is not None and loads is not None and second.kernel.pointers[readers[0]].const:
            return Passed(buffer, statement, _variable(first, statement), loads)
    return None


def _stores(shape: OneEach, target: Node) -> Node | None:
    """The statement `target = value;` that every thread reaches, else None."""
    assignment = target.parent
    plainly = assignment is not None and assignment.type == "assignment_expression" and operator(assignment) == "="
    statement = assignment.parent if assignment is not None and plainly else None
    return statement if statement in shape.rest else None


def _variable(shape: OneEach, statement: Node) -> str | None:
    """The float that a statement stores, where it is a variable of the kernel that keeps its value from there; else None."""
    value = sides(statement.named_children[0])[1]
    local = {n for d in shape.rest if d.type == "declaration" for n in declared(d)}
    later = set().union(*(assigned(n) for n in shape.rest if n.start_byte > statement.start_byte))
    keeps = (
        value.type == "identifier" and said(value) in local - later and types(shape.kernel).get(said(value)) == "float"
    )
    return said(value) if keeps else None


def _received(rest: list[Node], reads: list[Node], pair: Pair) -> tuple[Node, str] | None:
    """(declaration, name) where the second kernel's only load is `float name = stage[i];`, and name may be the first kernel's variable."""
    for node in rest:
        made = initialised(node) if node.type == "declaration" else None
        if (
            made is not None
            and len(made) == 1
            and len(reads) == 1
            and made[0][1] == reads[0]
            and prefix(node) == "float"
        ):
            constant = any("const" in prefix(d).split() for d in pair.first.rest if d.type == "declaration")
            return None if constant else (node, made[0][0])
    return None


def _title(listing: Listing, first: str, second: str) -> str:
    """The name that both halves had before they were split, or both names."""
    if first.endswith(FIRST) and second == first.removesuffix(FIRST) + SECOND:
        return listing.fresh(first.removesuffix(FIRST))
    return listing.fresh(f"{first}_{second}")


RULES = (CudaRule("fuse_kernels", fuse, "split_kernel"),)
