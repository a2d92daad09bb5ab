"""Locks between processes on one machine, which end with the process that holds them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_LOOK_S = 0.5


def try_lock(path: Path) -> int | None:
    """Return the descriptor that holds the lock of a file, None if another process holds it.

    Parameters
    ----------
    path : Path
        The lock's file, which is made and stays; it has the holder's process id. Closing the
        descriptor, and the end of the process, release the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def holder(path: Path) -> str:
    """Return the holder of a lock for a message: ``process 123``."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if number := path.read_text("utf-8").strip():
            return f"process {number}"
    return "another process"


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[str], object]) -> Iterator[None]:
    """Hold the lock of a file during the block, once no other process does.

    Parameters
    ----------
    path : Path
        As of `try_lock`.
    on_wait : callable
        Takes the holder, as text; called once if the lock is not free.
    """
    lock = try_lock(path)
    if lock is None:
        on_wait(holder(path))
    while lock is None:
        time.sleep(_LOOK_S)
        lock = try_lock(path)
    try:
        yield
    finally:
        os.close(lock)
