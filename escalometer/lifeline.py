"""Ending with the process that started this one, so that nothing runs on that nobody waits for."""

from __future__ import annotations

import os
import signal
import threading
import time

_EVERY_S = 0.5


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
