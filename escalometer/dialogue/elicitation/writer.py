"""A thread that makes answers durable as they arrive, many in one transaction.

Waiting for the disk once an answer would hold up every other answer; so whatever has arrived since
the last commit goes into the next one, a few milliseconds later. Where the disk is full or the
server away, the answers stay here and are tried again, while nothing new is asked: they are paid
for.
"""

from __future__ import annotations

import queue
import sys
import threading
import time

from escalometer.dialogue.elicitation.store import CompletionStore, Entry
from escalometer.dialogue.elicitation.store_rows import PATIENCE_S, StoreUnavailable

#: How often a write that failed is repeated, in seconds.
_EVERY_S = 1.0


class Writer:
    """A queue of answers, written in the order of their arrival.

    Parameters
    ----------
    store : CompletionStore
        Used by this thread alone until `close`, but for reading.
    patience_s : float
        How long to wait where the store cannot be written.
    """

    def __init__(self, store: CompletionStore, patience_s: float = PATIENCE_S) -> None:
        self._store = store
        self._patience_s = patience_s
        self._queue: queue.SimpleQueue[Entry | threading.Event | None] = queue.SimpleQueue()
        self._room = threading.Event()
        self._room.set()
        self._failure: StoreUnavailable | None = None
        self._unwritten: list[Entry] = []
        self._n_conflicts = 0
        self._thread = threading.Thread(target=self._work, name="completion-store")
        self._thread.start()

    @property
    def is_stuck(self) -> bool:
        """True if the last answers are not written (yet): no more requests should start."""
        return not self._room.is_set() or self._failure is not None

    def keep(self, entry: Entry) -> None:
        """Queue an answer; it is durable within milliseconds."""
        self._queue.put(entry)

    def check(self) -> None:
        """Raise UsageError or StoreUnavailable if answers could not be kept."""
        if self._failure is not None:
            raise self._store.unwritable(self._failure, tuple(self._unwritten)) from self._failure

    def flush(self) -> None:
        """Return when all queued answers are durable, or raise as `check` does."""
        done = threading.Event()
        self._queue.put(done)
        done.wait()
        self.check()

    def close(self) -> None:
        """Return when all queued answers are durable.

        Raises
        ------
        UsageError, StoreUnavailable
            If some of it could not be written.
        """
        self._queue.put(None)
        self._thread.join()  # from here on nothing is added to what could not be written
        if self._n_conflicts:
            print(
                f"{self._n_conflicts} answers were discarded: another process stored other "
                "answers to the same requests first",
                file=sys.stderr,
            )
            self._n_conflicts = 0
        self.check()

    def _work(self) -> None:
        is_last = False
        while not is_last:
            taken = [self._queue.get()]
            while not self._queue.empty():
                taken.append(self._queue.get())
            is_last = None in taken
            entries = [entry for entry in taken if isinstance(entry, Entry)]
            if entries and self._failure is None:
                self._write(entries)
            elif entries:  # requested before the failure: they are paid for
                try:
                    self._store.put_all(entries)
                except StoreUnavailable:
                    self._unwritten += entries
            for asked in taken:
                if isinstance(asked, threading.Event):
                    asked.set()

    def _write(self, entries: list[Entry]) -> None:
        """Write the entries, retrying for a while where the store is not available."""
        until = time.monotonic() + self._patience_s
        while True:
            try:
                self._n_conflicts += len(self._store.put_all(entries))
            except StoreUnavailable as error:
                if self._room.is_set():
                    print(
                        f"the completion store cannot be written ({error.reason}); waiting for "
                        f"{self._store.awaits} up to {self._patience_s:.0f} s …",
                        file=sys.stderr,
                    )
                self._room.clear()
                if time.monotonic() >= until:
                    self._unwritten += entries
                    self._failure = error
                    return
                time.sleep(min(_EVERY_S, self._patience_s / 4))
            else:
                self._room.set()
                return
