"""What a command for single files is, and which there are. A new one is one file with a COMMAND."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.plugins import Registry


@dataclass(frozen=True)
class Command:
    """A command for single files.

    usage: what follows `python -m semrep_jax.main`. summary: its line in --help. parser: of its arguments. run: does it
    and gives the exit code.
    """

    usage: str
    summary: str
    parser: Callable[[], argparse.ArgumentParser]
    run: Callable[[argparse.Namespace], int]

    def main(self, arguments: list[str]) -> int:
        """Parse and run; the exit code."""
        return guarded(lambda: self.run(self.parser().parse_args(arguments)))


COMMANDS: Registry[Command] = Registry(
    "command",
    "command",
    {
        name: f"semrep_jax.commands.{name}:COMMAND"
        for name in ("transform", "verify", "perturb", "test", "judge", "report", "serve")
    }
    | {"time": "semrep_jax.commands.judge:TIME"},
)


# What to do about an error of the file system; of other kinds it is space or permissions.
FIXES: dict[type[OSError], str] = {
    FileNotFoundError: "name one that is there",
    IsADirectoryError: "name a file",
    NotADirectoryError: "a part of the path is a file: name another",
    FileExistsError: "a file is where a directory has to be: name another",
}
# How XLA's error begins where a device's memory does not suffice, and what needs less of it.
EXHAUSTED = "RESOURCE_EXHAUSTED"
SMALLER = (
    "lower rollout.prompts, rollout.group, rollout.max_new or rollout.bucket, supervised.rows, train.micro_batch or "
    "evaluate.batch, or take a smaller model (job: plan says what fits)"
)


INTERRUPTED = 128 + 2  # as a shell tells an end by SIGINT
LONGEST = 86_400.0  # s, that a person waits for tests


def parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """A command's own command line.

    name: the command. description: what it does, the first of its --help. epilog: its exit codes, the last of its
    --help.
    """
    return argparse.ArgumentParser(prog=f"python -m semrep_jax.main {name}", description=description, epilog=epilog)


def at_least(least: int) -> Callable[[str], int]:
    """The type of an argument that is an integer from `least` on."""

    def whole(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"{number} is below {least}")
        return number

    whole.__name__ = "int"  # as argparse calls it where the text is none
    return whole


def seconds(text: str) -> float:
    """The type of an argument that is a time (s): a number above 0 that has an end."""
    found = float(text)
    if not 0 < found <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {LONGEST:g} seconds")
    return found


def guarded(command: Callable[[], int]) -> int:
    """The command's exit code; a mistake of the user's becomes one line."""
    try:
        return command()
    except SemRepError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; a run's command, given again, goes on from its newest checkpoint", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # who reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is said of it at exit either
        return 0
    except OSError as error:
        where, why = error.filename or "the work directory or the output", error.strerror or error
        fix = FIXES.get(type(error), "free some disk or mend its permissions")
        print(f"error: {where}: {why}; {fix}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:  # XLA's own is a RuntimeError
        if isinstance(error, RuntimeError) and EXHAUSTED not in str(error):
            raise
        asked = str(error).removeprefix(EXHAUSTED).strip(": ").partition("\n")[0]
        print(f"error: out of memory{asked and f' ({asked:.160})'}; {SMALLER}", file=sys.stderr)
        return 2
