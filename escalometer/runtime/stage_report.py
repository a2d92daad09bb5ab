"""A stage's report to the flow that runs it: how far it is, and why it failed.

DVC starts stages as processes and passes on their exit code alone. The flow names a folder in the
environment; the stage writes two small files there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from escalometer.errors import DataError, EscalometerError, Outage
from escalometer.runtime import progress
from escalometer.runtime.files import read_json, write_json

#: Names the folder, in the environment of stages.
VARIABLE = "ESCALOMETER_STAGE_REPORT"

_EVERY_S = 1.0
_PROGRESS, _ERROR = "progress.json", "error.json"


@dataclass(frozen=True)
class StageProgress:
    """Progress of a stage.

    Attributes
    ----------
    text : str
        As it is printed: ``"querying m on d: 40/90 answers, 44%"``.
    share : float
        Of the items that are done, in [0, 1].
    """

    text: str
    share: float


@dataclass(frozen=True)
class StageError:
    """Reason for which a stage failed.

    Attributes
    ----------
    message : str
    is_passing : bool
        Whether the same stage may succeed later: an outage.
    """

    message: str
    is_passing: bool


def observe(folder: Path) -> None:
    """Write the progress of this process into `folder` from now on, once a second at most."""
    written_at = -_EVERY_S

    def write(meter: progress.Meter) -> None:
        nonlocal written_at
        now = time.monotonic()
        if meter.total and (now - written_at >= _EVERY_S or meter.done >= meter.total):
            written_at = now
            share = min(1.0, meter.done / meter.total)
            write_json({"text": meter.line(), "share": share}, folder / _PROGRESS)

    progress.observer = write


def keep_error(folder: Path, error: EscalometerError) -> None:
    """Write why this process fails into `folder`."""
    content = {"message": str(error), "is_passing": isinstance(error, Outage)}
    write_json(content, folder / _ERROR)


def clear(folder: Path) -> None:
    """Remove the report of an earlier stage."""
    for name in (_PROGRESS, _ERROR):
        (folder / name).unlink(missing_ok=True)


def read_progress(folder: Path) -> StageProgress | None:
    """Return the stage's progress, None before its first item."""
    try:
        return StageProgress(**read_json(folder / _PROGRESS))
    except DataError:
        return None


def read_error(folder: Path) -> StageError | None:
    """Return why the stage failed, None where it could not say so: it was killed."""
    try:
        return StageError(**read_json(folder / _ERROR))
    except DataError:
        return None
