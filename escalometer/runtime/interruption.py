"""Interruption of this process: on Ctrl-C, on SIGTERM, and when its parent ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

_EVERY_S = 0.5


class Interruption:
    """A handler of Ctrl-C and SIGTERM that loses neither.

    Python drops a KeyboardInterrupt that arrives inside of a destructor or a callback, of which
    torch has many. This one is stored, and raised at the next `check`. SIGTERM is handled in the
    same way, so that answers are stored before the process ends.
    """

    def __init__(self) -> None:
        self._came = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._came.set()
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if one of the two signals came."""
        if self._came.is_set():
            raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt from the block on Ctrl-C and SIGTERM, and restore their handlers.

    DuckDB makes a RuntimeError of either, which would look like a fault of this program.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    interruption = Interruption()
    try:
        yield
    except RuntimeError:
        interruption.check()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_input() -> None:
    """Send SIGTERM to this process once its standard input ends: whoever wrote to it has ended.

    A process that is killed closes its pipes at once, whichever processes are in between.
    """

    def watch() -> None:
        while sys.stdin.readline():
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="input-watch", daemon=True).start()


def end_with_parent(parent: int | None = None) -> None:
    """Watch the parent process; once it has ended, send SIGTERM to this one.

    A killed run would otherwise leave its stage running, in the way of the next run.

    Parameters
    ----------
    parent : int, optional
        Its process id. A forked process is told it: its parent may have ended before it asks.
    """
    expected = os.getppid() if parent is None else parent

    def watch() -> None:
        while os.getppid() == expected:
            time.sleep(_EVERY_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
