"""In the child: call one function of a candidate, and write down what each call gives.

Loaded by the zygote by path, so it imports only the standard library. Sequences of steps are `session`'s.
"""

import importlib
import os
import sys
import types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
elsewhere = importlib.import_module("elsewhere")
wire = importlib.import_module("wire")
session = importlib.import_module("session")
surroundings = importlib.import_module("surroundings")
del sys.path[0]

# Programs with these texts need OpenSSL; what the zygote has loaded does without (`standard`).
NEEDS_OPENSSL = ("pbkdf2_hmac", "scrypt", "algorithms_available", "ripemd160", "sm3", "sha512_2", "md5-sha1", "md4")


def observe(source, entry, calls):
    """Load the candidate and make the calls: {"load": error or None, "calls": [what `one_call` gives]}.

    source: the program's text. entry: the function's name. calls: tuples of arguments in wire form.
    """
    module = sys.modules["candidate"] = types.ModuleType("candidate")  # where dataclasses and pickle look for it
    scope = module.__dict__
    scope["__builtins__"] = __builtins__
    sys.stdout = sys.stderr = surroundings.Printed()
    try:
        exec(compile(source, "<candidate>", "exec"), scope)
        function = scope[entry]
    except BaseException as error:
        return {"load": describe(error)}
    return {"load": None, "calls": [one_call(function, args) for args in calls]}


def one_call(function, wire_args, _repr=repr):
    """Observe one call: [value, error, mutated, output, message], the first and the third in wire form. `_repr` is the
    real one."""
    args = wire.decode(wire_args)
    sys.stdout = sys.stderr = printed = surroundings.Printed()
    value = error = message = None
    try:
        result = function(*args)
    except BaseException as raised:
        error, message = class_name(raised), describe(raised)
    else:
        try:
            value = wire.encode(result)
        except BaseException as raised:
            error, message = "Unencodable", describe(raised)
    try:
        after = wire.encode(args)
    except BaseException:
        after = ["t", "arguments that do not encode"]
    output = wire.encode("".join(printed.parts))
    same = _repr(after) == _repr(wire_args)  # True is no 1
    return [value, error, None if same else after, output, message]


_BUILTIN_ERRORS = {
    t: n
    for n, t in vars(importlib.import_module("builtins")).items()
    if isinstance(t, type) and issubclass(t, BaseException)
}


def class_name(error):
    """Name of a built-in exception class; one that the candidate wrote is marked as such."""
    return _BUILTIN_ERRORS.get(type(error), "candidate." + type.__getattribute__(type(error), "__name__"))


def describe(error):
    """One line about an exception, as far as it lets itself be printed."""
    try:
        return f"{class_name(error)}: {error}"[:400]
    except BaseException:
        return class_name(error)


def observe_python(request):
    """What a Python candidate does when it is called, or in sequences of steps (see `session`)."""
    if any(text in request["source"] for text in NEEDS_OPENSSL):
        for name in ("hashlib", "hmac"):
            sys.modules.pop(name, None)  # its import finds OpenSSL
    if "sequences" in request:
        elsewhere.settle(request["elsewhere"])
        return session.run(request)
    return observe(request["source"], request["entry"], request["calls"])
