"""Ending when asked to, and with the process that started this one."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

_EVERY_S = 0.5


class Interruption:
    """Ctrl-C or SIGTERM that cannot get lost.

    Python drops a KeyboardInterrupt that arrives inside of a destructor or a callback, of which
    torch has many. This one is remembered, and raised at the next `check`. SIGTERM is told apart
    from neither: what was answered is kept before the process ends.
    """

    def __init__(self) -> None:
        self._came = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._came.set()
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if one of the two came."""
        if self._came.is_set():
            raise KeyboardInterrupt


def end_with_parent() -> None:
    """Watch the parent process from now on; once it is gone, end this one as SIGTERM does.

    A killed run would otherwise leave its stage running, in the way of the next run.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_EVERY_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
