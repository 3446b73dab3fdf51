"""Launches against the signatures of their kernels: what does not fit is refused, with what to write in its place.

Neither NVRTC nor a GPU checks this: a launch passes addresses, and a kernel reads from them what its parameters say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from semrep_jax.cuda.candidate.expressions import ExpressionError, evaluate
from semrep_jax.cuda.candidate.launches import Argument, Launch, Scalar, Scratch, TensorRef
from semrep_jax.cuda.candidate.scalars import C_NAMES, DTYPE_OF, points_elsewhere, scalar_dtype
from semrep_jax.cuda.candidate.source import Device, InvalidCandidate
from semrep_jax.cuda.spec import DTYPES, KernelTask
from semrep_jax.cuda.syntax import Function, Parameter

_TEMPLATE_ARGUMENTS = re.compile(r"[\w\s<>,:*]*")


@dataclass(frozen=True)
class Environment:
    """What a launch may name: buffers with their element types, which of them are inputs, and names of expressions."""

    buffers: Mapping[str, str]
    inputs: frozenset[str]
    names: Mapping[str, int | float]

    @classmethod
    def of(cls, task: KernelTask, scratch: Mapping[str, Scratch]) -> Environment:
        """A task's arrays with a candidate's scratch buffers; expressions are tried at the first small shape."""
        buffers = {a.name: a.dtype for a in task.arrays} | {name: s.dtype for name, s in scratch.items()}
        return cls(buffers, frozenset(a.name for a in task.inputs), task.names(task.small[0]))


def check_launch(launch: Launch, device: Device, environment: Environment, where: str) -> None:
    """Refuse a launch that does not fit its kernel's signature.

    device: whose kernels it may name. environment: what else. where: how the launch is called in messages, "launch 1".
    Raises InvalidCandidate.
    """
    kernel = _kernel_of(launch, device, where)
    if len(launch.args) != len(kernel.parameters):
        wanted = ", ".join(f"{p.type}{'*' if p.is_buffer else ''} {p.name}" for p in kernel.parameters)
        raise InvalidCandidate(
            f"{where}: {len(launch.args)} arguments and {kernel.name} (line {kernel.line}) takes "
            f"{len(kernel.parameters)}: ({wanted})"
        )
    for argument, parameter in zip(launch.args, kernel.parameters, strict=True):
        target = f"parameter {parameter.name!r} of {kernel.name} (line {kernel.line})"
        complaint = _misfit(argument, parameter, kernel, target, environment)
        if complaint is not None:
            raise InvalidCandidate(f"{where}, argument {str(argument)!r}: {complaint}")


def _kernel_of(launch: Launch, device: Device, where: str) -> Function:
    """The kernel that a launch names, with template arguments exactly where it is a template."""
    name, _, template = launch.kernel.partition("<")
    kernel = device.kernel(name)
    if kernel is None:
        known = ", ".join(device.kernels)
        raise InvalidCandidate(f"{where}: there is no kernel {name.strip()!r}; the CUDA block has {known}")
    if not _TEMPLATE_ARGUMENTS.fullmatch(template):
        raise InvalidCandidate(f"{where}: {launch.kernel!r} is no kernel name; write e.g. {name}<float, 256>")
    if kernel.template and not template:
        raise InvalidCandidate(
            f"{where}: {name} is a template (line {kernel.line}); write its arguments, e.g. {name}<256>"
        )
    return kernel


def _misfit(
    argument: Argument, parameter: Parameter, kernel: Function, target: str, environment: Environment
) -> str | None:
    """Why an argument does not fit the parameter that `target` describes, and what to write; None where it fits."""
    match argument:
        case TensorRef(name):
            return _misfit_of_buffer(name, parameter, kernel, target, environment)
        case Scalar(dtype, expression):
            return _misfit_of_scalar(dtype, expression, parameter, target, environment)


def _misfit_of_buffer(
    name: str, parameter: Parameter, kernel: Function, target: str, environment: Environment
) -> str | None:
    if name not in environment.buffers:
        known = ", ".join(environment.buffers)
        return f'no buffer has this name; buffers are {known}; a scalar is written "i32:{name}"'
    if not parameter.is_buffer:
        scalar = f"{scalar_dtype(parameter.type)}:N"
        return f'{target} is {parameter.type}, not a pointer; write a scalar like "{scalar}"'
    if name in environment.inputs and not parameter.const and parameter.type not in (kernel.template or ()):
        return f"{target} is not const and {name} is an input; declare it const {parameter.type}*"
    dtype = environment.buffers[name]
    if points_elsewhere(parameter.type, dtype):
        return f"{target} points at {parameter.type} and the buffer holds {dtype} ({C_NAMES[dtype][0]})"
    return None


def _misfit_of_scalar(
    dtype: str, expression: str, parameter: Parameter, target: str, environment: Environment
) -> str | None:
    if dtype not in DTYPES:
        return f"{dtype!r} is no type; types are {', '.join(DTYPES)}"
    if parameter.is_buffer:
        return f"{target} is a pointer; give it a buffer: {', '.join(environment.buffers)}"
    wanted = DTYPE_OF.get(parameter.type)
    if wanted is not None and wanted != dtype:
        return f'{target} is {parameter.type}; write "{wanted}:{expression}"'
    try:
        evaluate(expression, environment.names)
    except ExpressionError as error:
        return str(error)
    return None
