"""Where the time of a run goes: wall time and processor time of its parts."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Part:
    """A part of a run.

    Attributes
    ----------
    name : str
        A stage's address, or what else was done.
    wall_s : float
        Seconds of the clock.
    own_s : float
        Processor time of the run's own process in it, in seconds.
    stage_s : float or None
        Processor time of the stage's process, in seconds; None if there was none, or if it did not
        run in the warm process, which counts.
    peak_bytes : int or None
        Most memory of the stage's process.
    """

    name: str
    wall_s: float = 0.0
    own_s: float = 0.0
    stage_s: float | None = None
    peak_bytes: int | None = None


@dataclass
class Timings:
    """The parts of a run, in their order."""

    parts: list[Part] = field(default_factory=list)

    @contextlib.contextmanager
    def measuring(self, name: str) -> Iterator[Part]:
        """Measure what happens in the context."""
        part = Part(name)
        self.parts.append(part)
        began, used = time.monotonic(), time.process_time()
        try:
            yield part
        finally:
            part.wall_s, part.own_s = time.monotonic() - began, time.process_time() - used

    def add_usage(self, used: Sequence[Mapping[str, Any]]) -> None:
        """Add what stages used, as `warm_process.read_usage` returns it, to their parts."""
        left = list(used)
        for part in self.parts:
            stage = next((one for one in left if _is_of(one["arguments"], part.name)), None)
            if stage is not None:
                left.remove(stage)
                part.stage_s, part.peak_bytes = stage["processor_s"], stage["peak_bytes"]


def _is_of(arguments: Sequence[str], address: str) -> bool:
    """Return whether a command, such as ``stage query --cell m``, is of the stage at an address."""
    name, _, cell = address.partition("@")
    command, _, tables = name.partition("_")  # validate_raw is `stage validate --cell raw`
    keys = ":".join(key for key in (tables, cell) if key)
    return arguments[1:2] == [command] and list(arguments[3:4]) == ([keys] if keys else [])


def processor_s() -> float:
    """Return the processor time of this process and of all that it waited for, in seconds."""
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
