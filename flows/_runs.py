"""The mark of a run: a lock that its process holds, by which others know that it lives."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.runtime import flow_run

from escalometer.runtime.locks import try_lock
from flows._server import HOME

#: Held until this process ends.
_held: list[int | None] = []


def run_id() -> str:
    """Return the id of the run that this process is in."""
    return str(flow_run.id)


def parameters() -> dict[str, Any]:
    """Return the parameters of the run that this process is in."""
    return dict(flow_run.parameters)


def run_mark(home: Path, run: UUID | str) -> Path:
    """Return the lock of a run, in the folder of the project's server."""
    return home / "runs" / f"{run}.lock"


def mark(_flow: Any, run: Any, _state: Any) -> None:
    """Hold the lock of a run that begins in this process: a hook of Prefect."""
    _held.append(try_lock(run_mark(_home, run.id)))


#: Before any run changes the folder.
_home = HOME.resolve()
