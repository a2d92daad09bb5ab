"""Usage of a command, as benchmarks print it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Used:
    """Seconds, of processors and of the clock, and bytes at the peak of `peak_of`."""

    processor_s: float
    wall_s: float
    peak_bytes: int
    peak_of: str

    def __str__(self) -> str:
        return (
            f"{self.processor_s:7.1f} s processor {self.wall_s:7.1f} s wall "
            f"{self.peak_bytes / 2**20:7.0f} MiB peak of {self.peak_of}"
        )
