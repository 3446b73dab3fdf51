"""A zygote whose children follow every path of two functions with CrossHair, symbolically, in the sandbox's lockdown.

Started by `proof.prove` as `python -P -s -S crosshair_zygote.py SETTINGS`, never imported by the package. CrossHair
runs the functions it looks at, so it is locked in with them. A request holds the two programs (`a`, `b`), the
function's name (`entry`), the parameters that are given (`given`; the others are left out) and the time for its paths
(`seconds`); the reply says whether all paths were exhausted, or the arguments of a difference. Results and
arguments are compared by type and value: CrossHair's own comparison is ==, for which True is 1.
"""

import importlib
import json
import os
import sys

_package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(_package, "sandbox"))
zygote = importlib.import_module("zygote")
del sys.path[0]

# All that a child will ask for: its user may not be able to read the environment that CrossHair is installed in.
PRELOADED = (
    "crosshair.core_and_libs",
    "crosshair.diff_behavior",
    "crosshair.options",
    "crosshair.pathing_oracle",
)


def load_function(name, source, entry):
    """The function `entry` of a program, which is loaded as module `name`.

    source: the program's text. Raises what the program raises as it is loaded, and KeyError where it has no such
    function.
    """
    scope = {"__name__": name, "__builtins__": __builtins__}
    exec(compile(source, f"<{name}>", "exec"), scope)
    return scope[entry]


class NotComparable(Exception):
    """A value for which == would say too little."""


unfit = []  # names of types that were met and can't be compared


def exact(value):
    """A value with its types, so that == on it is exact; raises NotComparable for floats, objects and what is of a
    class below a built-in one."""
    kind = type(value)  # CrossHair answers for what it follows symbolically
    if value is None:
        return None
    if kind in (bool, int, str, bytes):
        return (kind.__name__, value)
    if kind in (list, tuple):
        return (kind.__name__, *[exact(item) for item in value])
    if kind is dict:
        return ("dict", *[(exact(key), exact(item)) for key, item in value.items()])
    if kind in (set, frozenset):
        return (kind.__name__, {exact(item) for item in value})
    unfit.append(str(kind.__name__))
    raise NotComparable


def compared(function):
    """The function, with its result and its arguments afterwards made exact."""

    def call(*args, **kwargs):
        result = function(*args, **kwargs)
        return (exact(result), [exact(x) for x in args], [exact(x) for x in kwargs.values()])

    return call


def prove(request):
    """{"exhausted": bool, "difference": {parameter: its repr} or None} of `entry` in the two sources."""
    diff, options = sys.modules["crosshair.diff_behavior"], sys.modules["crosshair.options"]
    inspect, collections = importlib.import_module("inspect"), importlib.import_module("collections")
    first = load_function("first", request["a"], request["entry"])
    second = load_function("second", request["b"], request["entry"])
    limits = options.AnalysisOptionSet(
        per_condition_timeout=request["seconds"], per_path_timeout=request["seconds"] / 2
    )
    settings = options.DEFAULT_OPTIONS.overlay(limits)
    settings.stats = collections.Counter()
    same_type = diff.ExceptionEquivalenceType.SAME_TYPE
    signature = inspect.signature(first, eval_str=True)
    given = [p.replace(default=p.empty) for name, p in signature.parameters.items() if name in request["given"]]
    signature = signature.replace(parameters=given)
    found = diff.diff_behavior_with_signature(compared(first), compared(second), signature, settings, same_type)
    difference = next((d.args for d in found), None)
    if unfit:
        return {"trouble": f"values of type {unfit[0]} are compared by == alone", "difference": difference}
    return {"exhausted": settings.stats["exhaustion"] > 0, "difference": difference}


def attempt(request):
    """`prove`, or what it failed on: {"trouble": one line}."""
    try:
        return prove(request)
    except BaseException as error:
        return {"trouble": zygote.observe.describe(error)}


def run_prover(request, containment):
    """Answer one request."""
    zygote.load_named(request["a"] + request["b"], containment)
    return zygote.child.run_child(request, containment, attempt)


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    sys.path += settings["readable"]
    for module in PRELOADED:
        importlib.import_module(module)
    zygote.serve(run_prover, settings)
