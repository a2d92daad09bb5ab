"""The command line as tests run it: in this process, or as a separate process.

`run` is for what a command prints, writes and exits with: the imports of a worker are paid for
once. `process` and `start` are for what only a process shows: signals, kills, the environment,
and that `python -m escalometer` starts at all.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from escalometer import cli
from tests.conftest import ROOT

BIN = Path(sys.executable).parent
#: What starts the command line in any folder, from this checkout.
COMMAND = (sys.executable, "-m", "escalometer")


#: What MLflow and Prefect write into the environment of a process that uses them.
LEFT_OVER = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL")


def environment(**changes: str) -> dict[str, str]:
    """Return this environment with the checkout's code and programs first, and `changes`."""
    programs = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OVER}
    return {**kept, "PATH": programs, "PYTHONPATH": str(ROOT), **changes}


def run(root: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `escalometer ARGUMENTS` in this process and return what it said, with its exit code.

    Parameters
    ----------
    root : Path
        The working directory.
    *arguments : str
        What follows the program's name.
    **changes : str
        Variables of the environment.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        patch.chdir(root)
        patch.setattr(sys, "argv", ["escalometer", *arguments])
        for name in LEFT_OVER:
            patch.delenv(name, raising=False)
        for name, value in changes.items():
            patch.setenv(name, value)
        cli.main()
    code = ended.value.code
    assert isinstance(code, int)
    said = []
    for stream in (out, err):
        stream.flush()
        said.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(arguments, code, *said)


def process(root: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m escalometer ARGUMENTS` to its end in `root`; parameters as `run`."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=root,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )
