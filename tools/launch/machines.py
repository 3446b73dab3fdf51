"""What can be rented, and which plan fits on it: `python tools/launch/launch.py table`.

A plan is what `job: plan` found: GiB a chip and the number of chips. `plans.json` keeps those of `configs/plan/`, and

    python tools/launch/machines.py runs/plan/qwen3_06b_v6e [MODEL ...]

adds one, or brings it up to date, from a plan's work directory; MODEL is a `model.source` that it stands for.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

PLANS = Path(__file__).parent / "plans.json"
GPU_SHARE = 0.92  # of a GPU's memory that JAX is given (XLA_PYTHON_CLIENT_MEM_FRACTION in every launch file)


class MachineError(Exception):
    """A machine is none that is known, or too small."""


@dataclass(frozen=True)
class Tpu:
    """A TPU generation. gib: of HBM a chip that the compiler may use (`model/ahead.py`). cores: a chip's, if the type
    counts cores. runtime: the VM's software. gke: the node selector."""

    gib: float
    cores: int
    runtime: str
    gke: str


TPUS = {
    "v4": Tpu(30.75, 2, "tpu-ubuntu2204-base", "tpu-v4-podslice"),
    "v5litepod": Tpu(15.75, 1, "v2-alpha-tpuv5-lite", "tpu-v5-lite-podslice"),
    "v5p": Tpu(95.73, 2, "v2-alpha-tpuv5", "tpu-v5p-slice"),
    "v6e": Tpu(31.24, 1, "v2-alpha-tpuv6e", "tpu-v6e-slice"),
}
# GiB that the driver states, SkyPilot's name, GKE's node selector.
GPUS = {
    "l4": (22.5, "L4", "nvidia-l4"),
    "a100": (40.0, "A100", "nvidia-tesla-a100"),
    "a100-80gb": (80.0, "A100-80GB", "nvidia-a100-80gb"),
    "h100": (79.6, "H100", "nvidia-h100-80gb"),
    "h200": (140.4, "H200", "nvidia-h200-141gb"),
    "b200": (179.1, "B200", "nvidia-b200"),
}
FLAT = {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8", 128: "8x16", 256: "16x16"}
CUBES = {4: "2x2x1", 8: "2x2x2", 16: "2x2x4", 32: "2x4x4", 64: "4x4x4", 128: "4x4x8", 256: "4x8x8", 512: "8x8x8"}


@dataclass(frozen=True)
class Machine:
    """Chips of one kind on hosts. name: as its cloud has it. gib: a chip's memory for the run. grid: a TPU's."""

    name: str
    kind: str
    chips: int
    hosts: int
    gib: float
    grid: str | None = None

    @property
    def is_tpu(self) -> bool:
        """Whether its chips are TPUs."""
        return self.grid is not None


def machine(name: str, nodes: int = 1) -> Machine:
    """The machine of a name: a TPU type (v6e-16, v5p-8, v5litepod-64) or GPU:COUNT of a node (h100:8), `nodes` of them.

    Raises MachineError.
    """
    if found := re.fullmatch(r"(\w+)-(\d+)", name):
        kind, number = found[1], int(found[2])
        if kind in TPUS:
            chips, cores = number // TPUS[kind].cores, TPUS[kind].cores
            grids = CUBES if cores == 2 else FLAT
            if chips not in grids or number % cores:
                sizes = ", ".join(f"{kind}-{c * cores}" for c in grids)
                raise MachineError(f"--machine {name}: there are {sizes}")
            if nodes != 1:
                raise MachineError(f"--nodes {nodes}: a TPU's hosts are in its type; choose a larger one than {name}")
            hosts = 1 if cores == 1 and chips <= 8 else max(1, chips // 4)
            return Machine(name, kind, chips, hosts, TPUS[kind].gib, grids[chips])
    if nodes < 1:
        raise MachineError(f"--nodes {nodes}: at least 1")
    kind, _, count = name.lower().partition(":")
    if kind in GPUS and (count or "1").isdigit() and int(count or 1) in (1, 2, 4, 8):
        return Machine(name, kind, int(count or 1) * nodes, nodes, round(GPUS[kind][0] * GPU_SHARE, 1))
    raise MachineError(
        f"--machine {name} is not known; write a TPU type ({', '.join(TPUS)}, as v6e-8) or GPU:COUNT with 1, 2, 4 or 8 "
        f"of {', '.join(GPUS)}"
    )


@dataclass(frozen=True)
class Plan:
    """What `job: plan` found. needed_gib: a chip's, of its hungriest program. models: `model.source`s it stands for.
    by: how it was computed."""

    name: str
    topology: str
    chips: int
    parameters: float
    needed_gib: float
    models: tuple[str, ...]
    by: str

    def needed_on(self, chips: int) -> float:
        """GiB a chip on so many chips: fewer hold more each; more are taken to hold as much, which is safe."""
        return self.needed_gib * max(1.0, self.chips / chips)


def plans() -> list[Plan]:
    """The plans that are kept, in the order of their size."""
    kept = [Plan(**{**one, "models": tuple(one["models"])}) for one in json.loads(PLANS.read_text())]
    return sorted(kept, key=lambda plan: plan.parameters)


def plan_of(source: str) -> Plan | None:
    """The plan that is kept for a `model.source`, where there is one."""
    return next((plan for plan in plans() if source in plan.models), None)


def read_plan(directory: Path, models: tuple[str, ...] = ()) -> Plan:
    """The plan in a work directory of `job: plan`. Raises MachineError."""
    try:
        results = json.loads((directory / "results.json").read_text())
        programs = {name: {k: v["value"] for k, v in arm.items()} for name, arm in results["arms"].items()}
        chips = next(iter(programs.values()))["chips"]
        needed = max(figures["needed_gib"] for figures in programs.values())
        parameters = next(iter(programs.values()))["parameters"]
        topology = _topology(directory)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise MachineError(f"{directory} holds no finished job: plan; run one there first ({error})") from error
    by = f"compiled for {topology} ({', '.join(programs)})"
    return Plan(directory.name, topology, int(chips), parameters, round(needed, 2), models, by)


def _topology(directory: Path) -> str:
    found = re.search(r"^  topology: (\S+)$", (directory / "config.yaml").read_text(), re.MULTILINE)
    if found is None:
        raise KeyError("plan.topology")
    return found[1].strip("'\"")


def require_fit(plan: Plan, on: Machine) -> None:
    """Raise MachineError where a machine's memory is below the plan's."""
    needed = plan.needed_on(on.chips)
    if needed > on.gib:
        fewer = f" at {on.chips} chips ({plan.needed_gib} GiB at {plan.chips})" if on.chips < plan.chips else ""
        raise MachineError(
            f"--machine {on.name} has {on.gib:.1f} GiB a chip and the plan {plan.name} needs {needed:.1f}{fewer}; "
            "choose a larger one (launch.py table), or plan a smaller run (--plan)"
        )


TABLED = ("v5litepod-8", "v5litepod-64", "v6e-1", "v6e-8", "v6e-64", "v5p-8", "v5p-256", "l4:1", "h100:1", "h100:8")


def table() -> str:
    """Which plan fits which machine, as Markdown."""
    machines = [machine(name) for name in TABLED]
    head = ["plan", "needs", *(f"{m.name} ({m.gib:.0f})" for m in machines)]
    lines = [head, ["---"] * len(head)]
    for plan in plans():
        needs = f"{plan.needed_gib:.1f} GiB on {plan.chips}"
        lines.append([f"`{plan.name}`", needs, *(_cell(plan, m) for m in machines)])
    said = [f"`{plan.name}`: {plan.by}." for plan in plans()]
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", *said])


def _cell(plan: Plan, on: Machine) -> str:
    needed = plan.needed_on(on.chips)
    return f"{needed:.1f}" if needed <= on.gib else "no"


def main(arguments: list[str]) -> None:
    """Keep the plan of a work directory in plans.json."""
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        return
    kept = {plan.name: plan for plan in plans()} if PLANS.exists() else {}
    new = read_plan(Path(arguments[0]), tuple(arguments[1:]))
    if len(arguments) == 1 and new.name in kept:
        new = read_plan(Path(arguments[0]), kept[new.name].models)
    kept[new.name] = new
    PLANS.write_text(json.dumps([asdict(plan) for plan in kept.values()], indent=1) + "\n")
    print(f"{new.name}: {new.needed_gib} GiB a chip on {new.chips}, {new.by}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except MachineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
