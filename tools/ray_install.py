"""Test cells on Ray: `make test-ray`.

Ray is not in the lock: its wheel is larger than all others but torch. It is installed into a
temporary folder, without what it needs, which the lock has.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

if __package__ is None:  # as a script
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.install import pip_options, run, uv_environment

ROOT = Path(__file__).resolve().parent.parent
TESTS = "tests/e2e/test_cells.py"


def main() -> int:
    """Return 0 if the tests pass."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    packages = [p for p in project["optional-dependencies"]["ray"] if "escalometer" not in p]
    with tempfile.TemporaryDirectory(prefix="escalometer-ray-") as folder:
        listing = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            check=False,
        )
        environment = uv_environment(pip_options(listing.stdout, dict(os.environ)), {**os.environ})
        uv = str(Path(sys.executable).parent / "uv")
        run(
            [
                *(uv, "pip", "install", "--quiet", "--no-deps"),
                *("--python", sys.executable, "--target", folder, *packages),
            ],
            environment,
        )
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "long", "-k", "ray", TESTS],
            cwd=ROOT,
            env={**os.environ, "ESCALOMETER_RAY": folder},
            check=False,
        )
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
