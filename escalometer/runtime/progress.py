"""Progress of anything that takes over a few seconds: a bar on a terminal, else plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

#: Seconds between two plain lines where standard error is not a terminal.
LINE_INTERVAL_S = 10.0

#: Share of the items that must be done before the remaining time is estimated.
EARLIEST_SHARE = 0.05

#: Called with the meter whenever it advances; a stage reports to its flow by it.
observer: Callable[[Meter], None] | None = None


def spell_duration(seconds: float) -> str:
    """Return a duration for display: ``8 s``, ``1 min 20 s``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Meter:
    """A counter of items, with an estimate of the remaining time.

    Items that took no call are counted but cost no time, so they are left out of the estimate; as
    it is unknown which of the remaining items are stored, all of them are taken to cost time.
    """

    def __init__(
        self,
        description: str,
        total: int | None,
        unit: str,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done = self.n_free = 0
        self._stream, self._clock = stream, clock
        self._lock = Lock()
        self._started = self._advanced = self._written = clock()
        self._spent_s = 0.0  # on items that cost time
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def advance(self, n: int = 1, *, free: bool = False) -> None:
        """Count `n` more items; `free` ones are left out of the time estimate."""
        with self._lock:
            now = self._clock()
            if not free:
                self._spent_s += now - self._advanced
            self.done += n
            self.n_free += n if free else 0
            self._advanced = now
            is_due = now - self._written >= LINE_INTERVAL_S and not self._is_done()
            if is_due and self._bar is None:
                self._written = now
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, total=self.total)
        elif is_due:
            self._write(self.line())
        if observer is not None:
            observer(self)

    def restart(self) -> None:
        """Count from 0 again, since the earlier items are discarded."""
        with self._lock:
            self.done = self.n_free = 0
            self._spent_s = 0.0
            self._advanced = self._clock()
        self.advance(0)

    def note(self, text: str) -> None:
        """Print one line of text beside the progress."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            self._write(text)

    def remaining_s(self) -> float | None:
        """Return the estimated seconds left, or None before `EARLIEST_SHARE` is done."""
        n_costly = self.done - self.n_free
        if self.total is None:
            return None
        if self.done >= self.total:
            return 0.0
        # Items may arrive in batches: the first of one does not show how long the others take.
        if n_costly <= 0 or n_costly < EARLIEST_SHARE * (self.total - self.n_free):
            return None
        expected = (self.total - self.done) * self._spent_s / n_costly
        return max(0.0, expected - (self._clock() - self._advanced))

    def line(self) -> str:
        """Return the progress in one line."""
        is_done = self._is_done()
        parts = [self.amount()]
        if self.total is not None:
            parts.append(f"{100 if is_done else min(99, round(100 * self.done / self.total))}%")
        if rate := self.rate():
            parts.append(rate)
        remaining_s = self.remaining_s()
        if remaining_s is not None and not is_done:
            parts.append(f"about {spell_duration(remaining_s)} left")
        return f"{self.description}: {', '.join(parts)}"

    def amount(self) -> str:
        """Return the amount done and the total, in the unit; bytes as megabytes."""
        if self.unit == "bytes":
            of = "" if self.total is None else f"/{self.total / 1e6:.1f}"
            return f"{self.done / 1e6:.1f}{of} MB"
        of = "" if self.total is None else f"/{self.total}"
        return f"{self.done}{of} {self.unit}"

    def rate(self) -> str:
        """Return the rate of bytes so far, as ``3.1 MB/s``; empty for other units."""
        # Time without items counts, so that the rate of a stalled download falls.
        elapsed = self._spent_s + (0.0 if self._is_done() else self._clock() - self._advanced)
        if self.unit != "bytes" or elapsed < 1:
            return ""
        return f"{(self.done - self.n_free) / elapsed / 1e6:.1f} MB/s"

    def summary(self) -> str:
        """Return the last line of the progress, whether all was done or not."""
        took = spell_duration(self._clock() - self._started)
        verb = "" if self._is_done() else "stopped at "
        return f"{self.description}: {verb}{self.amount()}{self._free()}, {took}"

    def _free(self) -> str:
        if not self.n_free:
            return ""
        if self.unit == "bytes":
            return f" ({self.n_free / 1e6:.1f} MB of it earlier)"
        return f" ({self.n_free} {'earlier' if self.unit == 'steps' else 'without a call'})"

    def _is_done(self) -> bool:
        return self.total is not None and self.done >= self.total

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """Show the bar on a terminal that can; elsewhere lines are printed."""
        bar = _terminal_bar(self, self._stream) if self._stream.isatty() else None
        if bar is None:
            try:
                yield
            finally:
                self._write(self.summary())
            return
        with bar:
            self._task = bar.add_task(self.description, total=self.total)
            self._bar = bar
            try:
                yield
            finally:
                bar.update(self._task, completed=self.done, total=self.total, refresh=True)
                self._bar = None


def _terminal_bar(meter: Meter, stream: TextIO) -> Progress | None:
    """Return rich's bar, not yet shown, or None on a terminal that cannot redraw a line."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    console = Console(file=stream)
    if console.is_dumb_terminal:
        return None

    class Amount(ProgressColumn):
        def render(self, task: Task) -> Text:  # noqa: ARG002 - rich's signature
            return Text("  ".join(filter(None, (meter.amount(), meter.rate()))))

    class Remaining(ProgressColumn):
        def render(self, task: Task) -> Text:  # noqa: ARG002 - rich's signature
            remaining_s = meter.remaining_s()
            return Text(
                "" if not remaining_s else f"about {spell_duration(remaining_s)} left", style="cyan"
            )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        Amount(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        Remaining(),
        console=console,
    )


@contextmanager
def progress(
    description: str,
    total: int | None,
    unit: str = "items",
    *,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Meter]:
    """Show the progress of a block on standard error, and yield its meter.

    Parameters
    ----------
    description : str
        What is being done: ``"querying movielens"``.
    total : int or None
        How many items there are, in `unit`; None while unknown: set the meter's `total` once
        somebody does, at the latest when all is done.
    unit : str
        What is counted: ``"dialogues"``; ``"bytes"`` are shown as megabytes, with their rate.
    stream : text stream, optional
        Standard error by default: standard output belongs to results.
    clock : callable
        Seconds that only grow; replaced in tests.
    """
    meter = Meter(description, total, unit, stream or sys.stderr, clock)
    with meter._shown():
        yield meter
