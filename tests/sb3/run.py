"""Run Stable-Baselines3's own tests, unmodified, against `MemoryPPO` and `MemoryA2C`.

    python tests/sb3/run.py [arguments for pytest]

The tests come from the source distribution of the installed version, which is fetched once into
``$XDG_CACHE_HOME/expirespan`` (``~/.cache/expirespan``). What cannot apply is in docs/sb3.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = "stable-baselines3"


def cache() -> Path:
    """Where fetched tests lie, outside the repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "expirespan"


def fetch(release: str) -> Path:
    """The folder with the tests of that release and their pytest settings; fetched if it is not there yet.

    The package itself is left out, so that the installed one is tested.
    """
    folder = cache() / f"{PROJECT}-{release}"
    if (folder / "tests").is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PROJECT]
        subprocess.run([*pip, "--dest", temporary, f"{PROJECT}=={release}"], check=True)
        archive = next(Path(temporary).glob("*.tar.gz"))
        with tarfile.open(archive) as tar:
            wanted = [m for m in tar if re.match(r"[^/]+/(tests/.*|pyproject\.toml)$", m.name)]
            tar.extractall(temporary, wanted, filter="data")
        unpacked = next(path.parent for path in Path(temporary).glob("*/tests"))
        shutil.rmtree(folder, ignore_errors=True)
        unpacked.rename(folder)
    return folder


def not_applicable() -> list[str]:
    """Test ids that docs/sb3.md lists, each with its reason, as not applicable."""
    page = (HERE.parent.parent / "docs" / "sb3.md").read_text()
    return re.findall(r"^\| `(tests/\S+::[^`]+)` \|", page, re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Exit status of pytest."""
    release = version(PROJECT)
    folder = fetch(release)
    print(f"{PROJECT} {release}: its tests of PPO and A2C, on MemoryPPO and MemoryA2C", flush=True)
    deselected = [f"--deselect={case}" for case in not_applicable()]
    command = [sys.executable, "-m", "pytest", "-p", "drop_in", "-p", "no:cacheprovider", "-q", *deselected]
    environment = os.environ | {
        "PYTHONPATH": str(HERE),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run([*command, *(arguments or ["tests"])], cwd=folder, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
