"""The system call filter decides each call as the table says, tried in a machine for classic BPF of ten lines."""

import errno
import importlib.util
from pathlib import Path

import pytest

from semrep_jax import sandbox

# By path, as the zygote loads it: Hypothesis draws from the numbers of modules that are imported, and here are many.
_spec = importlib.util.spec_from_file_location("lockdown", Path(sandbox.__file__).with_name("lockdown.py"))
lockdown = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(lockdown)
DENIED, OWN_ONLY, filter_instructions = lockdown.DENIED, lockdown.OWN_ONLY, lockdown.filter_instructions

ALLOW = 0x7FFF0000
REFUSE = 0x50000 | errno.EPERM
ABSENT = 0x50000 | errno.ENOSYS
KILL = 0x80000000
# machine: architecture, clone, clone3, read, column of the table; and prctl
MACHINES = {"x86_64": (0xC000003E, 56, 435, 0, 0), "aarch64": (0xC00000B7, 220, 435, 63, 1)}
PRCTL = {"x86_64": 157, "aarch64": 167}


def decision(code, number, architecture, first_argument=0, second_argument=0):
    """What the filter returns for a system call."""
    data = {0: number, 4: architecture, 16: first_argument, 24: second_argument}
    at, register = 0, 0
    while True:
        operation, if_true, if_false, constant = code[at]
        at += 1
        if operation == 0x06:
            return constant
        if operation == 0x20:
            register = data[constant]
        else:
            holds = {0x15: register == constant, 0x35: register >= constant, 0x45: bool(register & constant)}[operation]
            at += if_true if holds else if_false


@pytest.mark.parametrize("machine", MACHINES)
def test_every_denied_call_is_refused_and_every_other_passes(machine):
    architecture, clone, clone3, read, column = MACHINES[machine]
    code = filter_instructions(machine)
    denied = {numbers[column] for numbers in DENIED.values()}
    for number in set(range(600)) - {clone, clone3}:
        assert decision(code, number, architecture) == (REFUSE if number in denied else ALLOW), number
    assert read not in denied and len(denied - {None}) >= 45


@pytest.mark.parametrize("machine", MACHINES)
def test_fcntl_sends_no_signal_and_locks_nothing_that_others_share(machine):
    code, number, architecture = filter_instructions(machine), lockdown.FCNTL[machine], MACHINES[machine][0]
    refused = {c for c in range(1100) if decision(code, number, architecture, second_argument=c) == REFUSE}
    assert refused == {8, 10, 15, 37, 38, 1024, 1026}
    assert decision(code, number, architecture, second_argument=4) == ALLOW  # F_SETFL, as os.set_blocking does


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_may_be_started_and_processes_may_not(machine):
    architecture, clone, clone3, _, _ = MACHINES[machine]
    code = filter_instructions(machine)
    assert decision(code, clone, architecture, first_argument=0x3D0F00) == ALLOW  # the flags of pthread_create
    assert decision(code, clone, architecture, first_argument=0x1200011) == REFUSE  # those of fork
    assert decision(code, clone3, architecture) == ABSENT  # so that libc falls back to clone


@pytest.mark.parametrize("machine", MACHINES)
def test_limits_and_processors_are_a_process_s_own_affair(machine):
    architecture, _, _, _, column = MACHINES[machine]
    code = filter_instructions(machine)
    for numbers in OWN_ONLY.values():
        assert decision(code, numbers[column], architecture, first_argument=0) == ALLOW
        assert decision(code, numbers[column], architecture, first_argument=1) == REFUSE


@pytest.mark.parametrize("machine", MACHINES)
def test_no_candidate_takes_back_that_it_ends_with_its_zygote(machine):
    code = filter_instructions(machine)
    assert decision(code, PRCTL[machine], MACHINES[machine][0], first_argument=1) == REFUSE
    assert decision(code, PRCTL[machine], MACHINES[machine][0], first_argument=15) == ALLOW  # its name


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_kill(machine):
    architecture, _, _, read, _ = MACHINES[machine]
    code = filter_instructions(machine)
    assert decision(code, read, 0x40000003) == KILL  # 32-bit x86
    assert decision(code, 0x40000000 | 520, architecture) == KILL  # the x32 numbers


def test_an_unknown_processor_has_no_filter():
    assert filter_instructions("riscv64") is None
