"""Runs that ended with their process, and missed schedules: what `serve` does at first."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Crashed

from escalometer.runtime.locks import try_lock
from flows._runs import run_mark
from flows._schedule import POOL

_UNDER_WAY = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_PAGE = 200


def resume(home: Path) -> list[str]:
    """Start interrupted runs of deployments anew, drop missed schedules, and say so in lines.

    A run whose process has ended is marked as crashed; a new run has the same parameters, and
    finds the stages and answers of the first. Of scheduled runs that are late, the last one of
    each deployment stays.

    Parameters
    ----------
    home : Path
        The folder of the project's server.
    """
    lines = []
    with get_client(sync_client=True) as client:
        for run in _runs(client, _UNDER_WAY):
            if not _is_dead(home, run):
                continue
            client.set_flow_run_state(run.id, Crashed(message="its process ended"), force=True)
            if run.deployment_id is not None and run.parent_task_run_id is None:
                new = client.create_flow_run_from_deployment(
                    run.deployment_id,
                    parameters=run.parameters,
                    name=f"{run.name} (resumed)",
                    idempotency_key=f"resumed-{run.id}",
                )
                lines.append(f"{run.name} was interrupted: {new.name} goes on")
        for path in (home / "runs").glob("*.lock"):
            if _is_free(path):
                path.unlink(missing_ok=True)
        now = datetime.now(UTC)
        late: dict[Any, list[FlowRun]] = {}
        for run in _runs(client, [StateType.SCHEDULED]):
            is_late = run.expected_start_time is not None and run.expected_start_time < now
            if run.auto_scheduled and is_late and run.work_pool_name == POOL:
                late.setdefault(run.deployment_id, []).append(run)
        for runs in late.values():
            *missed, last = sorted(runs, key=lambda run: run.expected_start_time or now)
            for run in missed:
                why = f"missed; {last.name} is run in its place"
                client.set_flow_run_state(run.id, Cancelled(message=why), force=True)
            if missed:
                lines.append(f"{len(missed)} missed schedules are left out; {last.name} is run")
    return lines


def _runs(client: SyncPrefectClient, states: list[StateType]) -> list[FlowRun]:
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states)))
    found: list[FlowRun] = []
    while True:
        page = client.read_flow_runs(
            flow_run_filter=wanted, limit=_PAGE, offset=len(found), sort=FlowRunSort.START_TIME_ASC
        )
        found += page
        if len(page) < _PAGE:
            return found


def _is_dead(home: Path, run: FlowRun) -> bool:
    """Return whether a run's process has ended: on this machine, its lock is free then.

    A run without a lock is another machine's, or our worker had not started it.
    """
    path = run_mark(home, run.id)
    return _is_free(path) if path.exists() else run.work_pool_name == POOL


def _is_free(path: Path) -> bool:
    lock = try_lock(path)
    if lock is not None:
        os.close(lock)
    return lock is not None
