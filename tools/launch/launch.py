"""Start a run on a TPU, on GPUs, on Slurm or on GKE, from this checkout; `--dry-run` shows exactly what would be done.

python tools/launch/launch.py tpu-vm my-run --machine v6e-8 --zone us-east5-b --config configs/smollm2_train.yaml \
    --work-dir gs://my-bucket/my-run --dry-run

Before anything is rented the config is read, its mesh and its plan are held against the machine, and the work directory
must be one that survives the machine. The run is told to end with code 75 where it was stopped with everything saved;
every way here gives the same command again then, and it goes on from its work directory, to the same bits.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import NoReturn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import checkout  # noqa: E402

from semrep_jax.core import bucket  # noqa: E402
from semrep_jax.core.errors import SemRepError  # noqa: E402
from semrep_jax.jobs import config as configuration  # noqa: E402
from semrep_jax.model.settings import MeshConfig  # noqa: E402

sys.path.insert(0, str(HERE))
import machines  # noqa: E402
from machines import Machine, MachineError  # noqa: E402

EPILOG = """
examples
  launch.py table                                     which plan fits which machine
  launch.py tpu-vm my-run --machine v6e-8 --zone us-east5-b --queued --config C --work-dir gs://BUCKET/my-run --dry-run
  launch.py skypilot my-run --machine h100:8 --config C --work-dir s3://BUCKET/my-run
  launch.py slurm my-run --machine h100:8 --nodes 4 --config C --work-dir /shared/my-run
  launch.py gke my-run --machine v6e-16 --image REGISTRY/IMAGE:TAG --config C --work-dir gs://BUCKET/my-run

Exit code 2: an argument that does not fit, in one line; nothing was started. tools/launch/README.md tells the rest.
"""
PORT = 8476


class LaunchError(SemRepError):
    """What was asked for can't be started."""


class Parser(argparse.ArgumentParser):
    """Says what does not fit in one line."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        print(f"error: {self.prog.rsplit('/', 1)[-1]}: {message}; --help shows how it is written", file=sys.stderr)
        raise SystemExit(2)


def parser() -> Parser:
    """The command line."""
    command = Parser(
        prog="launch.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ways = command.add_subparsers(dest="way", required=True, metavar="WAY", parser_class=Parser)
    ways.add_parser("table", help="which plan fits which machine, as Markdown")

    tpu = _way(ways, "tpu-vm", "a TPU VM, or a queued resource, by gcloud; deleted at the end")
    tpu.add_argument("--zone", required=True, help="where, e.g. us-east5-b")
    tpu.add_argument("--project", default="", help="gcloud's own where it is left out")
    tpu.add_argument("--runtime-version", help="the VM's software; that of the TPU's generation by default")
    tpu.add_argument("--queued", action="store_true", help="ask through a queued resource and wait for it")
    tpu.add_argument("--on-demand", action="store_true", help="not a spot TPU: dearer, and not taken away")
    tpu.add_argument("--service-account", default="", help="that may write to the bucket")
    tpu.add_argument("--commit", default="HEAD", help="of this checkout, which is copied to the TPU")
    tpu.add_argument("--restarts", type=int, default=100, help="most times that it is created again")
    tpu.add_argument("--keep", action="store_true", help="do not delete the TPU at the end; it goes on costing money")

    sky = _way(ways, "skypilot", "a managed job of SkyPilot, on TPUs or GPUs of any cloud, recovered when taken away")
    sky.add_argument("--infra", help="CLOUD[/REGION[/ZONE]], e.g. gcp/us-east5; SkyPilot's choice where left out")
    sky.add_argument("--on-demand", action="store_true", help="not spot machines")

    slurm = _way(ways, "slurm", "sbatch, one process a node; back into the queue before the time is up")
    slurm.add_argument("--partition", help="of the cluster")
    slurm.add_argument("--account", help="that pays")
    slurm.add_argument("--time", default="24:00:00", help="limit of one sitting; the job goes back into the queue")

    gke = _way(ways, "gke", "a JobSet on GKE, on TPUs or GPUs")
    gke.add_argument("--image", required=True, help="built from tools/launch/Dockerfile.*, with its tag")
    gke.add_argument("--namespace", default="default", help="of Kubernetes")
    gke.add_argument("--service-account", default="default", help="of Kubernetes, bound to one that may write there")
    gke.add_argument("--on-demand", action="store_true", help="not spot nodes")
    gke.add_argument("--restarts", type=int, default=100, help="most times that all pods are started again")
    return command


def _way(ways: argparse._SubParsersAction[Parser], name: str, summary: str) -> Parser:
    one = ways.add_parser(name, help=summary, description=summary)
    one.add_argument("name", help="of the run: lower case, digits and hyphens. What is there under it is used again")
    one.add_argument("--machine", required=True, help="a TPU type (v6e-8) or a node's GPU:COUNT (h100:8)")
    if name in ("skypilot", "slurm", "gke"):
        one.add_argument("--nodes", type=int, default=1, help="of GPUs; a TPU's hosts are in its type")
    one.add_argument("--config", required=True, metavar="FILE", help="of the run, in this checkout")
    one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting; repeatable")
    one.add_argument(
        "--work-dir", required=True, help="gs://BUCKET/RUN, s3://BUCKET/RUN, or a path that all hosts share"
    )
    one.add_argument("--plan", type=Path, metavar="DIRECTORY", help="work directory of a job: plan that stands for it")
    one.add_argument("--dry-run", action="store_true", help="print what would be run or applied, and touch nothing")
    return one


def checked(options: argparse.Namespace) -> Machine:
    """The machine that was asked for, with everything that can be known before it is rented held against it."""
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", options.name):
        raise LaunchError(f"name {options.name!r}: lower case letters, digits and hyphens, 40 at most, a letter first")
    if any(one.partition("=")[0].strip() == "work_dir" for one in options.set):
        raise LaunchError("--set work_dir: the work directory is what --work-dir says; leave this one out")
    if not Path(options.config).resolve().is_relative_to(checkout.ROOT):
        raise LaunchError(f"--config {options.config} is not in {checkout.ROOT}; the machine gets that checkout only")
    config = configuration.load(options.config, [*options.set, f"work_dir={options.work_dir}"])
    on = machines.machine(options.machine, getattr(options, "nodes", 1))
    if on.is_tpu and options.way == "slurm":
        raise LaunchError(f"--machine {on.name} is a TPU; use tpu-vm, skypilot or gke")
    if not on.is_tpu and options.way == "tpu-vm":
        raise LaunchError(f"--machine {on.name} is no TPU; use skypilot, slurm or gke")
    _require_lasting(options, on)
    _require_mesh(config.mesh, on)
    source = config.model.source
    kept = machines.read_plan(options.plan) if options.plan else machines.plan_of(source)
    if kept is not None:
        machines.require_fit(kept, on)
    elif source != "nano":
        note(f"no plan of {source} is kept, so whether it fits {on.name} is not known; run job: plan and give --plan")
    mesh = config.mesh
    if mesh.data > 0 and (taken := mesh.data * mesh.fsdp * mesh.tensor) < on.chips:
        note(f"the mesh takes {taken} of {on.chips} chips; --set mesh.data=-1 takes all")
    return on


def note(message: str) -> None:
    """Say what does not stop a launch."""
    print(f"note: {message}", file=sys.stderr)


def _require_lasting(options: argparse.Namespace, on: Machine) -> None:
    """Raise LaunchError for a work directory that ends with its machine, or that its hosts can't share."""
    scheme, shared = bucket.scheme(options.work_dir), options.way == "slurm"
    if scheme is None and not (shared and Path(options.work_dir).is_absolute()):
        wanted = "an absolute path that all nodes share, or gs://" if shared else "gs://BUCKET/RUN or s3://BUCKET/RUN"
        raise LaunchError(f"--work-dir {options.work_dir} does not outlive the machine; use {wanted}")
    if scheme == "s3" and on.hosts > 1:
        raise LaunchError(f"--work-dir {options.work_dir}: {on.hosts} hosts can't save into s3://; use gs://")


def _require_mesh(mesh: MeshConfig, on: Machine) -> None:
    """Raise LaunchError for a mesh that does not lie on a machine's chips."""
    given = math.prod(size for size in (mesh.data, mesh.fsdp, mesh.tensor) if size > 0)
    if given > on.chips or (mesh.data == -1 and on.chips % given):
        raise LaunchError(
            f"mesh data={mesh.data} x fsdp={mesh.fsdp} x tensor={mesh.tensor} does not lie on the {on.chips} chips of "
            f"{on.name}; set mesh.data=-1 and the others to divisors of {on.chips}"
        )


def command_of(options: argparse.Namespace) -> list[str]:
    """The run's command on its machine, but for what tells its processes of each other."""
    config = Path(options.config).resolve().relative_to(checkout.ROOT)
    sets = [f"work_dir={options.work_dir}", *options.set]
    return ["python", "-m", "semrep_jax.main", "--config", str(config), *(x for s in sets for x in ("--set", s))]


AUTO = ["--set", "distributed.coordinator=auto"]


def tpu_vm(options: argparse.Namespace, on: Machine) -> int:
    """Run tpu_vm.sh, which stays until the run is done."""
    commit = _git("rev-parse", options.commit)
    _require_committed(options, commit)
    if options.commit == "HEAD" and _git("status", "--porcelain", "--untracked-files=no"):
        note("changes that are not committed are not copied to the TPU")
    settings = {
        "NAME": options.name,
        "ZONE": options.zone,
        "PROJECT": options.project,
        "TYPE": on.name,
        "RUNTIME": options.runtime_version or machines.TPUS[on.kind].runtime,
        "SERVICE_ACCOUNT": options.service_account,
        "WORK_DIR": options.work_dir,
        "COMMIT": commit,
        "RESTARTS": options.restarts,
        "QUEUED": int(options.queued),
        "SPOT": int(not options.on_demand),
        "KEEP": int(options.keep),
        "DRY_RUN": int(options.dry_run),
    }
    command = [str(HERE / "tpu_vm.sh"), *command_of(options), *(AUTO if on.hosts > 1 else [])]
    return _run(command, options.dry_run, "gcloud", {name: str(value) for name, value in settings.items()})


def _require_committed(options: argparse.Namespace, commit: str) -> None:
    """Raise LaunchError where the commit that is copied lacks the config or a plugin's file, or has another one."""
    file = Path(options.config).resolve()
    plugins = [name for name in configuration.load(options.config, options.set).plugins if name.endswith(".py")]
    places = [[checkout.ROOT / name, file.parent / name] for name in plugins]
    for path in [file, *(next((p for p in both if p.is_file()), both[0]) for both in places)]:
        name = os.path.relpath(path, checkout.ROOT)
        _, _, there = _git("ls-tree", commit, "--", name).partition(" blob ")
        if there.split("\t")[0] != _git("hash-object", str(path)):
            what = "another one" if there else "no such file"
            raise LaunchError(f"{name}: commit {commit[:12]}, which the TPU gets, holds {what}; commit it first")


def skypilot(options: argparse.Namespace, on: Machine) -> int:
    """Hand a managed job to SkyPilot."""
    count = f"tpu-{on.name}" if on.is_tpu else f"{machines.GPUS[on.kind][1]}:{on.chips // on.hosts}"
    file = HERE / ("skypilot_tpu.yaml" if on.is_tpu else "skypilot_gpu.yaml")
    config = Path(options.config).resolve().relative_to(checkout.ROOT)
    settings = " ".join(f"--set {s}" for s in options.set)
    if odd := [s for s in options.set if re.search(r"[\s*?\[\]'\"$`\\]", s)]:
        raise LaunchError(
            f"--set {odd[0]!r}: SkyPilot's file takes no blanks, brackets or quotes; put it into a config"
        )
    command = ["sky", "jobs", "launch", "--yes", "--name", options.name, "--gpus", count]
    command += [] if on.is_tpu else ["--num-nodes", str(on.hosts)]
    command += ["--infra", options.infra] if options.infra else []
    command += ["--no-use-spot" if options.on_demand else "--use-spot"]
    environment = {"WORK_DIR": options.work_dir, "CONFIG": config, "SETTINGS": settings}
    command += [x for name, value in environment.items() for x in ("--env", f"{name}={value}")]
    return _run([*command, str(file.relative_to(checkout.ROOT))], options.dry_run, "sky")


def slurm(options: argparse.Namespace, on: Machine) -> int:
    """Submit slurm.sbatch."""
    command = ["sbatch", "--job-name", options.name, "--nodes", str(on.hosts), "--time", options.time]
    command += ["--gpus-per-node", str(on.chips // on.hosts)]
    command += ["--partition", options.partition] if options.partition else []
    command += ["--account", options.account] if options.account else []
    several = AUTO if on.hosts > 1 else []
    command += ["tools/launch/slurm.sbatch", *command_of(options), *several]
    return _run(command, options.dry_run, "sbatch")


def gke(options: argparse.Namespace, on: Machine) -> int:
    """Apply gke.yaml, filled in."""
    text = manifest(options, on)
    if options.dry_run:
        print(f"# kubectl apply -f - <<'END'\n{text}# END")
        return 0
    _require("kubectl")
    return subprocess.run(["kubectl", "apply", "-f", "-"], input=text, text=True).returncode


def manifest(options: argparse.Namespace, on: Machine) -> str:
    """The JobSet of a run."""
    selector = {"cloud.google.com/gke-accelerator": machines.GPUS[on.kind][2]} if not on.is_tpu else {}
    if on.is_tpu:
        selector = {
            "cloud.google.com/gke-tpu-accelerator": machines.TPUS[on.kind].gke,
            "cloud.google.com/gke-tpu-topology": str(on.grid),
        }
    if not options.on_demand:
        selector["cloud.google.com/gke-spot"] = "true"
    command = command_of(options)
    if on.hosts > 1 and on.is_tpu:
        command += AUTO
    elif on.hosts > 1:  # the first pod's name, and each pod's number in the Job
        first = f"{options.name}-hosts-0-0.{options.name}:{PORT}"
        told = (f"coordinator={first}", f"processes={on.hosts}", "process=$(JOB_COMPLETION_INDEX)")
        command += [x for one in told for x in ("--set", f"distributed.{one}")]
    return Template((HERE / "gke.yaml").read_text()).substitute(
        NAME=options.name,
        NAMESPACE=options.namespace,
        SERVICE_ACCOUNT=options.service_account,
        RESTARTS=options.restarts,
        HOSTS=on.hosts,
        SELECTOR=json.dumps(selector),
        RESOURCE="google.com/tpu" if on.is_tpu else "nvidia.com/gpu",
        CHIPS_A_HOST=on.chips // on.hosts,
        IMAGE=json.dumps(options.image),
        COMMAND=json.dumps(command),
    )


def _run(command: list[str], dry: bool, program: str, environment: dict[str, str] | None = None) -> int:
    """Run a command from the checkout. Dry, it is printed; a script of ours is run, and prints its own."""
    if dry and not environment:
        print(shlex.join(command))
        return 0
    if not dry:
        _require(program)
    return subprocess.run(command, cwd=checkout.ROOT, env=os.environ | (environment or {})).returncode


def _require(program: str) -> None:
    brought = {"sky": "pip install skypilot[gcp]", "gcloud": "the Google Cloud CLI", "kubectl": "the Google Cloud CLI"}
    if shutil.which(program) is None:
        raise LaunchError(f"{program} is not here; install {brought.get(program, 'it, or log in to the cluster')}")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=checkout.ROOT, capture_output=True, text=True)
    if done.returncode:
        raise LaunchError(f"git {' '.join(arguments)}: {done.stderr.strip().splitlines()[0]}; launch from a clone")
    return done.stdout.strip()


WAYS = {"tpu-vm": tpu_vm, "skypilot": skypilot, "slurm": slurm, "gke": gke}


def main() -> int:
    """Launch; the exit code."""
    options = parser().parse_args()
    try:
        if options.way == "table":
            print(machines.table())
            return 0
        return WAYS[options.way](options, checked(options))
    except (MachineError, SemRepError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
