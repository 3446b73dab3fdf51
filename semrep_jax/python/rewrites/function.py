"""Functions of a file, with what rules ask about them.

    function = functions_of(cst.parse_module(text))[0]
    function.known_type("total"), function.is_builtin("len"), function.stands_guarded(statement)

What is asked is answered from the text alone and on the safe side: a type that nothing tells is None, a name that is
bound anywhere in the file is no builtin.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, field
from functools import cached_property

import libcst as cst

from semrep_jax.core import syntax
from semrep_jax.python.rewrites.trees import (
    Block,
    Expr,
    body,
    bound_names,
    code,
    expression_tree,
    is_docstring,
    nodes_in,
    occurrences,
)
from semrep_jax.python.rewrites.types import IMMUTABLE, Type, TypeReader

_DYNAMIC = {"locals", "globals", "vars", "eval", "exec", "dir", "super"}
_FRAMES = {"_getframe", "currentframe", "f_locals", "__code__", "getsource"}
_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal),
)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# modules whose values have no operators of their own
_PLAIN_MODULES = {
    *("__future__", "typing", "math", "cmath", "string", "re", "random", "operator", "statistics", "json", "hashlib"),
    *("collections", "itertools", "functools", "heapq", "bisect", "copy", "sys", "os", "time", "textwrap"),
}
_READING_METHODS = {
    *(
        "get",
        "keys",
        "values",
        "items",
        "index",
        "count",
        "copy",
        "upper",
        "lower",
        "strip",
        "split",
        "join",
        "replace",
    ),
    *("startswith", "endswith", "isdigit", "isalpha", "isalnum", "isupper", "islower", "isspace", "find", "format"),
}
_OWN_DISPLAYS = (ast.List, ast.Dict, ast.Set, *_COMPREHENSIONS[:3])
_OWN_CALLS = {"list", "dict", "set", "sorted"}
_RUNNING_OTHERS = {"next", "iter", "exec", "eval", "setattr", "delattr", "map", "filter", "input", "open"}


class File:
    """What stands around the functions of a file."""

    def __init__(self, text: str):
        self.tree = syntax.module(text)
        self.bound = bound_names(self.tree)
        imports = [n for n in ast.walk(self.tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
        self.imports_all = any(alias.name == "*" for n in imports for alias in n.names)
        modules = [n.module or "" for n in imports if isinstance(n, ast.ImportFrom)]
        modules += [alias.name for n in imports if isinstance(n, ast.Import) for alias in n.names]
        known = all(module.split(".")[0] in _PLAIN_MODULES for module in modules)
        self.is_plain = known and not any(isinstance(n, ast.ClassDef) for n in ast.walk(self.tree))

    def defines(self, name: str) -> bool:
        """Whether a name is a function at the top of the file, and no function of it may end another's iteration."""
        ends = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name)} & {"next", "StopIteration"}
        functions = [n.name for n in self.tree.body if isinstance(n, ast.FunctionDef)]
        return name in functions and self.binds_once(name) and not ends

    def binds_once(self, name: str) -> bool:
        """Whether one definition or assignment is all that binds a name, in the whole file."""
        return self.bound.count(name) == 1

    def only_called_by_position(self, name: str) -> bool:
        """Whether a name is only ever called, with arguments by position, and never handed on or exported."""
        calls = [
            n
            for n in ast.walk(self.tree)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name
        ]
        if any(call.keywords for call in calls) or len(calls) != occurrences(self.tree, name):
            return False
        spelled = {n.attr for n in ast.walk(self.tree) if isinstance(n, ast.Attribute)}
        spelled |= {n.value for n in ast.walk(self.tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        return name not in spelled


@dataclass(eq=False)
class Function:
    """A function definition with what rules ask about it.

    is_nested: it stands in another function. is_ordinary: it is no method, no generator, and neither it nor what it
    stands in is decorated: what its text says is what a call does.
    """

    node: cst.FunctionDef
    file: File
    is_nested: bool = False
    is_ordinary: bool = True
    _own: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def tree(self) -> ast.FunctionDef:
        """The same function as Python's own tree."""
        (found,) = syntax.module(code(self.node.with_changes(leading_lines=[], lines_after_decorators=[]))).body
        assert isinstance(found, ast.FunctionDef)
        return found

    @property
    def body(self) -> Block:
        """The statements of its own block, nested ones not counted; none where it is written on one line."""
        return body(self.node) or ()

    @cached_property
    def names(self) -> set[str]:
        """Every name that occurs in it."""
        return {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name)} | self.bound

    @cached_property
    def parameters(self) -> list[str]:
        """Its parameters in order, without those after a star."""
        return [a.arg for a in (*self.tree.args.posonlyargs, *self.tree.args.args)]

    @cached_property
    def bindings(self) -> list[str]:
        """The names that it binds, parameters and locals, one for each time."""
        found = bound_names(self.tree)
        found.remove(self.tree.name)
        return found

    @cached_property
    def bound(self) -> set[str]:
        """The names that it binds."""
        return set(self.bindings)

    @cached_property
    def bound_in_comprehensions(self) -> list[str]:
        """The names that comprehensions in it bind for themselves, one for each time."""
        comprehensions = [n for n in ast.walk(self.tree) if isinstance(n, ast.comprehension)]
        return [name for each in comprehensions for name in bound_names(each.target)]

    def is_hidden_outside(self, name: str) -> bool:
        """Whether only comprehensions bind a name, and it means something else outside of them, or where they begin."""
        if self.bindings.count(name) > self.bound_in_comprehensions.count(name):
            return False
        binding = [
            n
            for n in ast.walk(self.tree)
            if isinstance(n, _COMPREHENSIONS) and any(name in bound_names(each.target) for each in n.generators)
        ]
        inner = {n for outer in binding for n in ast.walk(outer) if n is not outer}
        outermost = [n for n in binding if n not in inner]
        begins = any(occurrences(n.generators[0].iter, name) for n in binding)
        return begins or self.mentions(name, *outermost) > 0

    def names_twice(self, name: str) -> bool:
        """Whether a name may be anywhere but in one place: another is there, or the scope is not plain."""
        return self.mentions(name) != 1 or self.bindings.count(name) != 1 or not self.has_plain_scope

    def reads_at_last(self, name: str) -> bool:
        """Whether a `finally` reads a name."""
        tries = [n for n in ast.walk(self.tree) if isinstance(n, (ast.Try, ast.TryStar))]
        return any(occurrences(statement, name) for one in tries for statement in one.finalbody)

    def mentions(self, name: str, *excluded: ast.AST) -> int:
        """How often a name occurs in it, less how often it occurs in these trees of its parts."""
        return occurrences(self.tree, name) - sum(occurrences(part, name) for part in excluded)

    @cached_property
    def sees_names(self) -> bool:
        """Whether it calls something that looks at its names, or the file looks at frames and code."""
        frames = any(isinstance(n, ast.Attribute) and n.attr in _FRAMES for n in ast.walk(self.file.tree))
        return frames or any(isinstance(n, ast.Name) and n.id in _DYNAMIC for n in ast.walk(self.tree))

    @cached_property
    def has_plain_scope(self) -> bool:
        """Whether names mean what they seem to.

        That is: it holds no function, class, generator or `global`, and calls nothing that looks at scopes.
        """
        inner = [n for n in ast.walk(self.tree) if n is not self.tree]
        return not self.sees_names and not any(isinstance(n, _SCOPES) for n in inner)

    @cached_property
    def shows_names(self) -> bool:
        """Whether names of it are spelled where no variable is meant: `f"{x=}"`, imports, patterns of a `match`."""
        spelled = (cst.Import, cst.ImportFrom, cst.Match)
        kept = _Kinds(spelled)
        self.node.visit(kept)
        return kept.found

    def is_builtin(self, name: str) -> bool:
        """Whether a name means Python's own function: nothing in the file binds it."""
        return hasattr(builtins, name) and name not in self.file.bound and not self.file.imports_all

    @property
    def is_plain(self) -> bool:
        """Whether the file has no class, and imports none, whose operators could do anything."""
        return self.file.is_plain

    @cached_property
    def types(self) -> TypeReader:
        """The types of its names and expressions."""
        return TypeReader(self.tree, self.is_builtin, self.is_plain)

    def known_type(self, name: str) -> Type:
        """The type that a name of it surely has, see `rewrites.types`; None where nothing tells."""
        return self.types.names.get(name)

    def type_of(self, node: Expr) -> Type:
        """The type that an expression surely has; None where nothing tells."""
        return self.types.expression(expression_tree(node))

    def captures(self, name: str, block: Block) -> bool:
        """Whether a generator in some statements reads a name, perhaps long after."""
        return any(occurrences(generator, name) for generator in nodes_in(block, ast.GeneratorExp))

    def is_own(self, name: str) -> bool:
        """Whether a name only ever means objects that it made itself, such as `[]`, or that can't change."""
        if name not in self._own:
            values = [v for n in ast.walk(self.tree) if isinstance(n, ast.Assign) for v in _values(n, name)]
            own = len(values) == self.bindings.count(name) > 0 and all(map(self._makes, values))
            self._own[name] = own or self.known_type(name) in IMMUTABLE
        return self._own[name]

    def _makes(self, value: ast.expr | None) -> bool:
        if isinstance(value, ast.Call):
            return isinstance(value.func, ast.Name) and value.func.id in _OWN_CALLS and self.is_builtin(value.func.id)
        return isinstance(value, _OWN_DISPLAYS)

    def changes_only_own(self, block: Block) -> bool:
        """Whether all that some statements change are names, and objects that this function made itself.

        What else there is, as long as one stands in them: a list handed in keeps its length and its items.
        """
        for node in nodes_in(block, ast.Call, ast.Attribute, ast.Subscript, ast.AugAssign):
            if isinstance(node, ast.Call):
                steady = self._call_changes_own(node.func)
            elif isinstance(node, ast.AugAssign):
                steady = not isinstance(node.target, ast.Name) or self.is_own(node.target.id)
            else:
                read = isinstance(node.ctx, ast.Load)
                subscript = isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
                steady = read or (subscript and self.is_own(node.value.id))
            if not steady:
                return False
        return True

    def _call_changes_own(self, called: ast.expr) -> bool:
        if isinstance(called, ast.Name):
            return self.is_builtin(called.id) and called.id not in _RUNNING_OTHERS and called.id not in _DYNAMIC
        if not isinstance(called, ast.Attribute):
            return False
        own = isinstance(called.value, ast.Name) and self.is_own(called.value.id)
        return own or called.attr in _READING_METHODS or self.types.expression(called.value) == "str"

    @cached_property
    def _guarded(self) -> set[cst.CSTNode]:
        found = _Guarded()
        self.node.visit(found)
        return found.statements

    def stands_guarded(self, statement: cst.CSTNode) -> bool:
        """Whether a statement stands in a `try` or a `with`: what is done before an error can be seen after it."""
        return statement in self._guarded

    @cached_property
    def blocks(self) -> list[cst.IndentedBlock]:
        """Its indented blocks, outermost first."""
        return self._parts.blocks

    @cached_property
    def expressions(self) -> list[cst.BaseExpression]:
        """Its expressions in the order of the text; annotations, patterns and what stands in f-strings left out."""
        return self._parts.expressions

    @cached_property
    def _parts(self) -> _Parts:
        parts = _Parts()
        self.node.visit(parts)
        return parts

    def fresh(self, *wanted: str, taken: frozenset[str] | set[str] = frozenset()) -> str:
        """The first of `wanted`, or it with a number, that is neither in the function nor in `taken`."""
        numbered = (name + (str(i) if i else "") for i in range(10_000) for name in wanted)
        return next(name for name in numbered if name not in self.names and name not in taken)


def _values(assignment: ast.Assign, name: str) -> list[ast.expr]:
    """The value that an assignment gives to a name, and to it alone."""
    (target, *others) = assignment.targets
    return [assignment.value] if isinstance(target, ast.Name) and target.id == name and not others else []


class _Kinds(cst.CSTVisitor):
    """Whether nodes of some kinds, or an f-string with `=`, are in a function."""

    def __init__(self, kinds: tuple[type[cst.CSTNode], ...]) -> None:
        self.kinds, self.found = kinds, False

    def on_visit(self, node: cst.CSTNode) -> bool:
        spelled = isinstance(node, cst.FormattedStringExpression) and node.equal is not None
        self.found = self.found or spelled or isinstance(node, self.kinds)
        return not self.found


class _Guarded(cst.CSTVisitor):
    """Statements that stand in a `try` or a `with`."""

    def __init__(self) -> None:
        self.statements: set[cst.CSTNode] = set()
        self.depth = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if self.depth and isinstance(node, (cst.SimpleStatementLine, cst.BaseCompoundStatement)):
            self.statements.add(node)
        self.depth += isinstance(node, (cst.Try, cst.TryStar, cst.With))
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self.depth -= isinstance(original_node, (cst.Try, cst.TryStar, cst.With))


class _Parts(cst.CSTVisitor):
    """Blocks and expressions of a function, not of the functions and classes inside it."""

    def __init__(self) -> None:
        self.blocks: list[cst.IndentedBlock] = []
        self.expressions: list[cst.BaseExpression] = []
        self.depth = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef):
            self.depth += 1
            return self.depth == 1
        if isinstance(node, (cst.Annotation, cst.Parameters, cst.Decorator, cst.MatchPattern, cst.ClassDef)):
            return False
        if is_docstring(node):
            return False
        if isinstance(node, cst.IndentedBlock):
            self.blocks.append(node)
        if isinstance(node, cst.BaseExpression):
            self.expressions.append(node)
        return not isinstance(node, (cst.FormattedString, cst.ConcatenatedString))

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef):
            self.depth -= 1


class _Functions(cst.CSTVisitor):
    """Collects functions, outermost first."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.found: list[Function] = []
        self.around: list[cst.CSTNode] = []

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self.around.append(node)

    def leave_ClassDef(self, original_node: cst.ClassDef) -> None:
        self.around.pop()

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        if node.asynchronous is None:
            plain = all(_is_plain_function(outer) for outer in (*self.around, node))
            self.found.append(Function(node, self.file, bool(self.around), plain and not _yields(node)))
        self.around.append(node)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self.around.pop()


def _is_plain_function(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.FunctionDef) and not node.decorators and node.asynchronous is None


def _yields(node: cst.FunctionDef) -> bool:
    found = _Yields()
    node.body.visit(found)
    return found.yields


class _Yields(cst.CSTVisitor):
    """Whether a function's own body yields."""

    yields = False

    def visit_Yield(self, node: cst.Yield) -> None:
        self.yields = True

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def visit_Lambda(self, node: cst.Lambda) -> bool:
        return False


def functions_of(module: cst.Module) -> list[Function]:
    """Every function of a module that is not `async`, outermost first."""
    functions = _Functions(File(module.code))
    module.visit(functions)
    return functions.found
