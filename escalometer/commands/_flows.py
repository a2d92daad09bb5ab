"""Running a flow of flows/ as a process of its own, for the commands that do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from escalometer.errors import Interrupted, UsageError


def run_flow(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], kept: str
) -> None:
    """Run flows/<name>.py to its end, and carry its exit code on.

    Parameters
    ----------
    name : str
        Which flow.
    arguments : sequence of str
        What it is told; that it ends when this process does is added.
    environment : mapping of str to str
        Its environment; the stages that it runs are one run there.
    kept : str
        What an interruption does not lose, for the message: ``"what was answered"``.

    Raises
    ------
    UsageError
        If there is no such flow here: this is not the project's root.
    Interrupted
        If the flow was interrupted.
    SystemExit
        If the flow failed: it has said why.
    """
    script = Path("flows") / f"{name}.py"
    if not script.exists():
        raise UsageError(
            f"{script} does not exist here ({Path.cwd()}); run from the project's root"
        )
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, str(script), *arguments, "--end-with-parent"],
        env={**environment, "ESCALOMETER_RUN": uuid.uuid4().hex},
        process_group=0,  # so that it and its stages get an interruption once, and from here
    )
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:  # let it keep its work and end
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
    if code == Interrupted.exit_code:
        raise Interrupted(f"interrupted; {kept} is kept: run the same command to go on")
    if code:
        raise SystemExit(code)
