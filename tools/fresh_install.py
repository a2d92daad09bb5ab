"""Set the project up again as on another machine, and import everything: `make test-install`.

A clone of the last commit is set up in a temporary folder whose name has a space and a letter
outside of ASCII, with an empty HOME and the package index alone: pip's further indexes and links,
and uv's settings, are switched off. Prints the time and the size; the folder is removed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Imports every module of the package, and prints how many there are.
IMPORTS = """
import importlib, pkgutil
import datasets, duckdb, dvc.repo, great_expectations, mlflow, prefect, sphinx, torch, transformers
import escalometer
names = [m.name for m in pkgutil.walk_packages(escalometer.__path__, "escalometer.")]
for name in names:
    if name != "escalometer.__main__":
        importlib.import_module(name)
print(len(names), "modules; torch", torch.__version__)
"""


def bare_environment(home: Path) -> dict[str, str]:
    """Return this environment without pip's and uv's settings, but with pip's index."""
    pip = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    index = subprocess.run(pip, capture_output=True, text=True, check=False).stdout.strip()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "ESCALOMETER"))}
    kept.pop("PYTHONPATH", None)
    given = os.environ.get("PIP_INDEX_URL", index)
    return {
        **kept,
        "HOME": str(home),
        "PIP_CONFIG_FILE": os.devnull,
        **({"PIP_INDEX_URL": given} if given else {}),
        **{k: os.environ[k] for k in ("PIP_CERT", "UV_TORCH_BACKEND") if k in os.environ},
    }


def main() -> int:
    """Return 0 if set-up and every import succeed."""
    with tempfile.TemporaryDirectory(prefix="escalometer é ") as folder:
        home, clone = Path(folder, "home"), Path(folder, "project")
        home.mkdir()
        environment = bare_environment(home)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        began = time.monotonic()
        python = os.environ.get("PYTHON", getattr(sys, "_base_executable", sys.executable))
        made = subprocess.run(
            ["make", f"PYTHON={python}", "setup"], cwd=clone, env=environment, check=False
        )
        if made.returncode:
            print("error: set-up failed; its message is above", file=sys.stderr)
            return 1
        spent_s = time.monotonic() - began
        imported = subprocess.run(
            [".venv/bin/python", "-c", IMPORTS], cwd=clone, env=environment, check=False
        )
        size = sum(p.lstat().st_size for p in (clone / ".venv").rglob("*") if p.is_file())
        print(f"set up in {spent_s:.0f} s, {size / 1e9:.1f} GB in .venv")
        return imported.returncode


if __name__ == "__main__":
    sys.exit(main())
