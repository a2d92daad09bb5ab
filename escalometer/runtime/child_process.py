"""A command that ends with the process that started it, also if that is killed.

    python -m escalometer.runtime.child_process PARENT COMMAND ARGUMENT …

This process starts the command in a session of its own, so that Ctrl-C in a terminal does not reach
it, and waits for it. On SIGTERM, or once its parent has ended, it ends the command and all
processes that the command has started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from types import FrameType

from escalometer.runtime.interruption import end_with_parent

#: Seconds that the command has to end by itself, and then those that it has started.
_GRACE_S, _OTHERS_S = 20.0, 2.0
_LOOK_S = 0.1


def command_of(arguments: list[str]) -> list[str]:
    """Return the command that runs `arguments` in this way, for this process."""
    return [sys.executable, "-P", "-m", __name__, str(os.getpid()), *arguments]


def main() -> int:
    """Run the command of `sys.argv`; return its exit code."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(int(sys.argv[1]))
    process = subprocess.Popen(sys.argv[2:], start_new_session=True)  # noqa: S603
    try:
        return process.wait()
    finally:
        _end_group(process)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the command's processes; those that do not end are killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        deadline = time.monotonic() + _OTHERS_S
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)  # raises where no process of the group is left
            time.sleep(_LOOK_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    sys.exit(main())
