"""A zygote whose children follow every path of two functions with CrossHair, symbolically, in the sandbox's lockdown.

Started by `equivalence.prove` as `python -P -s -S crosshair_zygote.py SETTINGS`, never imported by the package. CrossHair runs the
functions it looks at, so it is locked in with them. The reply says whether all paths were exhausted, or the arguments of a difference.
"""

import importlib
import json
import os
import sys

_package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(_package, "sandbox"))
zygote = importlib.import_module("zygote")
del sys.path[0]


def prove(request):
    """{"exhausted": bool, "difference": {parameter: its repr} or None} of `entry` in the two sources."""
    diff, options = sys.modules["crosshair.diff_behavior"], sys.modules["crosshair.options"]
    inspect, collections = importlib.import_module("inspect"), importlib.import_module("collections")
    functions = []
    for name, source in (("first", request["a"]), ("second", request["b"])):
        scope = {"__name__": name, "__builtins__": __builtins__}
        exec(compile(source, f"<{name}>", "exec"), scope)
        functions.append(scope[request["entry"]])
    chosen = options.AnalysisOptionSet(
        per_condition_timeout=request["seconds"], per_path_timeout=request["seconds"] / 2
    )
    settings = options.DEFAULT_OPTIONS.overlay(chosen)
    settings.stats = collections.Counter()
    same_type = diff.ExceptionEquivalenceType.SAME_TYPE
    found = diff.diff_behavior_with_signature(
        *functions, inspect.signature(functions[0], eval_str=True), settings, same_type
    )
    difference = next((d.args for d in found), None)
    return {"exhausted": settings.stats["exhaustion"] > 0, "difference": difference}


def attempt(request):
    """`prove`, or what it failed on: {"trouble": one line}."""
    try:
        return prove(request)
    except BaseException as error:
        return {"trouble": zygote.describe(error)}


def run_prover(request, containment):
    """Answer one request."""
    zygote.load_named(request["a"] + request["b"], containment)
    return zygote.run_child(request, containment, attempt)


if __name__ == "__main__":
    chosen = json.loads(sys.argv[1])
    sys.path += chosen["readable"]
    # All that a child will ask for: its user may not be able to read the environment.
    for needed in (
        "crosshair.core_and_libs",
        "crosshair.diff_behavior",
        "crosshair.options",
        "crosshair.pathing_oracle",
    ):
        importlib.import_module(needed)
    zygote.serve(run_prover, chosen)
