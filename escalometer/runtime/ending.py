"""The end of a process without taking apart what it has imported.

Python deletes every module and object at its end. With the libraries of a stage or a flow this
takes 0.2 to 1.2 s of processor time, and a forked process copies the memory that it deletes.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable

_code = 1  # that of an exception which nothing catches


def end_at_once() -> None:
    """Let this process, and those forked from it, end as soon as all handlers of `atexit` have run.

    Call it before importing what registers handlers: those registered earlier are left out. The
    exit code is that of `leave_with`.
    """
    atexit.register(_end)  # the first to be registered is the last to be called


def leave_with(main: Callable[[], int | None], waits_for_threads: bool = True) -> None:
    """Run `main` and exit: with what it returns, or as the exception says that it raises.

    Parameters
    ----------
    main : callable
        Returns an exit code, None for 0.
    waits_for_threads : bool
        False after `end_at_once` if threads may wait for what never comes, such as the answer of a
        server that has ended.
    """
    global _code  # `atexit` is not told the exit code
    try:
        _code = main() or 0
        if not waits_for_threads:
            atexit._run_exitfuncs()
    except SystemExit as error:
        _code = error.code if isinstance(error.code, int) else int(error.code is not None)
        raise
    except KeyboardInterrupt:
        _code = 128 + signal.SIGINT
        raise
    sys.exit(_code)


def _end() -> None:
    code = _code
    for stream in (sys.stdout, sys.stderr):
        if stream is None:  # the process has none
            continue
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it any more, or it is closed
            code = 120  # as Python has it
    os._exit(code)
