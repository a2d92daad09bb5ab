"""Test the core in an environment that has its packages alone: `make test-core`.

The wheel is built and installed with requirements-core.lock into a temporary folder. Prints its
size on disk, as uv installs it (pip adds about 55 MB of compiled modules), and runs the tests of
commands that need no extra, and of those that name theirs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

if __package__ is None:  # as a script
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.install import install_locked, pip_options, run, uv_environment

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements-core.lock"
TESTS = "tests/integration/test_extras.py"

#: What the environment may take on disk.
MOST_MB = 400


def size_mb(folder: Path) -> float:
    """Return what the files of a folder take on disk, in units of 1,048,576 bytes."""
    blocks = (path.lstat().st_blocks for path in folder.rglob("*") if not path.is_symlink())
    return sum(blocks) * 512 / 2**20


def main() -> int:
    """Return 0 if the environment is small enough and the tests pass."""
    with tempfile.TemporaryDirectory(prefix="escalometer-core-") as folder:
        venv, archives = Path(folder, "venv"), Path(folder, "dist")
        listing = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            check=False,
        )
        environment = uv_environment(
            pip_options(listing.stdout, dict(os.environ)), {**os.environ, "VIRTUAL_ENV": str(venv)}
        )
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
        run([*build, str(archives), str(ROOT)], environment)
        [wheel] = archives.glob("*.whl")
        uv = str(Path(sys.executable).parent / "uv")
        run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], environment)
        install = [uv, "pip", "install", "--quiet", "--no-deps"]
        # Copies, as pip makes them: links into uv's cache would be shared with it.
        install += ["--link-mode", "copy"]
        install_locked([*install, "--require-hashes", "-r", LOCK], environment)
        run([*install, str(wheel)], environment)
        size = size_mb(venv)
        print(f"the core takes {size:.0f} MB on disk; at most {MOST_MB}")
        if size > MOST_MB:
            return 1
        python = str(venv / "bin" / "python")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", TESTS],
            cwd=ROOT,
            env={**os.environ, "ESCALOMETER_CORE": python},
            check=False,
        )
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
