"""Install the locked dependencies into .venv, with a bar and the time that is left.

Runs before anything is installed, so it uses the standard library alone. `make setup` calls it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

TORCH = "torch==2.13.0"  # exactly: anything looser can bring gigabytes of CUDA along
PER_STEP = 15


def locked(path: Path) -> list[str]:
    """Return the entries of a lock file, each with its hashes."""
    entries: list[list[str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            entries[-1].append(line)
        else:
            entries.append([line])
    return ["\n".join(lines) for lines in entries]


def pip(python: Path, *arguments: str) -> None:
    """Run pip quietly; where it fails, show what it said and stop."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-input", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"\n{done.stdout}{done.stderr}", file=sys.stderr)
        sys.exit(f"error: pip could not install ({' '.join(arguments)}); run `make setup` again")


def show(n_done: int, n_all: int, began: float) -> None:
    """Draw the bar: over itself on a terminal, a line a step elsewhere."""
    spent_s = time.monotonic() - began
    left = (
        f"about {spent_s / n_done * (n_all - n_done):.0f} s left"
        if n_done > 30
        else "a few minutes"
    )
    width = 30 * n_done // n_all
    line = f"installing [{'#' * width}{'.' * (30 - width)}] {n_done}/{n_all} packages, {left}"
    on_terminal = sys.stderr.isatty()
    print(
        f"\r{line:<79}" if on_terminal else line, end="" if on_terminal else "\n", file=sys.stderr
    )
    sys.stderr.flush()


def main() -> None:
    """Install torch, then the lock in steps, then the project itself."""
    if sys.version_info < (3, 11):
        sys.exit(f"error: Python 3.11 or later is needed, this is {sys.version.split()[0]}")
    root = Path(__file__).resolve().parent.parent
    venv = root / ".venv"
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    entries = locked(root / "requirements.lock")
    n_all, began = len(entries) + 2, time.monotonic()
    show(0, n_all, began)
    pip(python, "--no-deps", TORCH)
    show(1, n_all, began)
    for start in range(0, len(entries), PER_STEP):
        step = entries[start : start + PER_STEP]
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write("\n".join(step) + "\n")
            file.flush()
            pip(python, "--no-deps", "--require-hashes", "-r", file.name)
        show(1 + start + len(step), n_all, began)
    pip(python, "--no-deps", "--editable", str(root))
    show(n_all, n_all, began)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
