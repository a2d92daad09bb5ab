"""Test the adapters of policies with LiteLLM's proxy and LangChain: `make test-adapters`.

Both need versions of packages that the lock excludes (fastapi), so they are installed into a
temporary folder, about 600 MB, next to nothing of escalometer: adapters need its code alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

if __package__ is None:  # as a script
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.install import pip_options, run, uv_environment

ROOT = Path(__file__).resolve().parent.parent
TESTS = "tests/integration/test_policy_adapters.py"

#: The versions that the adapters were written for.
PACKAGES = ("litellm[proxy]==1.108.7", "langchain==1.5.2", "langgraph==1.2.24")


def main() -> int:
    """Return 0 if the tests pass."""
    with tempfile.TemporaryDirectory(prefix="escalometer-adapters-") as folder:
        venv = Path(folder, "venv")
        listing = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            check=False,
        )
        environment = uv_environment(
            pip_options(listing.stdout, dict(os.environ)), {**os.environ, "VIRTUAL_ENV": str(venv)}
        )
        uv = str(Path(sys.executable).parent / "uv")
        run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], environment)
        run([uv, "pip", "install", "--quiet", *PACKAGES], environment)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", TESTS],
            cwd=ROOT,
            env={**os.environ, "ESCALOMETER_ADAPTERS": str(venv / "bin" / "python")},
            check=False,
        )
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
