"""Cells that are asked side by side, before the stages that need their answers.

Each task asks a shard of dialogues and fills the completion store, in a process of this machine or
on a cluster; no task calls DVC, whose lock is of one machine. The stages then find all answers in
the store: docs/decisions/0047-cells-in-parallel.md.
"""

from __future__ import annotations

import contextlib
import os
import queue
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import prefect
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.flows import Flow
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from escalometer.config import AskParams, Params, Workspace
from escalometer.dialogue.asking import asking_store
from escalometer.dialogue.elicitation.store import CompletionStore
from escalometer.dialogue.shards import Shard, versions, versions_text
from escalometer.errors import EscalometerError, ProviderError
from escalometer.operations.cells import (
    N_MOST,
    Job,
    check_runner,
    job,
    n_processes,
    no_cluster,
    open_cells,
)
from escalometer.operations.workers import ask_shard, is_passing
from escalometer.runtime.progress import progress
from flows._server import wait_for_tasks
from flows._words import say

ask: Task[..., Any] = prefect.task(
    name="ask",
    task_run_name="ask {name}",
    cache_policy=NO_CACHE,
    retry_condition_fn=is_passing,
    persist_result=False,
)(ask_shard)

Ended: TypeAlias = "queue.SimpleQueue[tuple[PrefectFuture[Any], Shard]]"

_START_S = 8
_LOOK_S = 1.0


def fill_store(
    models: Sequence[str],
    params: Params,
    place: Workspace,
    retry_delays_s: Sequence[float] = (),
) -> int:
    """Ask what is missing of all cells, several at a time, and return the number of task runs.

    One model on this machine is asked by its stage, as before, unless it has very many dialogues.

    Parameters
    ----------
    models : sequence of str
        Those of the run that lack answers.
    params : Params
        Of the run, whose scenarios are drawn.
    place : Workspace
        Where the run is.
    retry_delays_s : sequence of float
        Pauses in seconds before a shard that failed in an outage is tried again.

    Raises
    ------
    EscalometerError
        As the stage of a model would raise it.
    """
    how = place.asking(params)
    if how.use_batches:
        return 0
    is_here = how.runner == "processes"
    with asking_store(place, *models) as store:
        cells = open_cells(models, params, place, store, is_here)
        n_dialogues = sum(cell.n_dialogues for cell in cells)
        if not cells or (is_here and len(cells) == 1 and n_dialogues <= N_MOST):
            return 0
        with _runner(how) as (runner, n_workers):
            todo = job(cells, params, place, n_workers, _n_cores() if is_here else None)
            say(
                f"asking {n_dialogues:,} dialogues of {len(cells)} cells by {how.runner}, up to "
                f"{n_workers} at a time"
            )
            try:
                _ask_all(runner, todo, n_workers, store, place, retry_delays_s)
            finally:
                store.release_all(place.run)
        return len(todo.shards)


def _n_cores() -> int:
    return os.cpu_count() or 1


def _ask_all(
    runner: TaskRunner[Any],
    todo: Job,
    n_workers: int,
    store: CompletionStore,
    place: Workspace,
    retry_delays_s: Sequence[float],
) -> None:
    task = ask.with_options(
        retries=len(retry_delays_s), retry_delay_seconds=list(retry_delays_s) or 0
    )
    waiting, running, failed = list(todo.shards), Counter[str](), None
    ended: Ended = queue.SimpleQueue()
    n_before, _ = store.spent(place.run)
    begun: list[UUID] = []
    with progress("asking", todo.n_answers, "answers") as bar:
        while running.total() or (waiting and failed is None):
            for shard in _startable(waiting, running, todo, n_workers) if failed is None else ():
                waiting.remove(shard)
                running[shard.card.id] += 1
                parameters = {"name": shard.name, "shard": shard.to_json()}
                future = runner.submit(task, parameters=parameters)
                begun.append(future.task_run_id)
                future.add_done_callback(partial(_put, ended, shard))
            with contextlib.suppress(queue.Empty):
                future, shard = ended.get(timeout=_LOOK_S)
                running[shard.card.id] -= 1
                failed = _failure(future) or failed
            n_now, _ = store.spent(place.run)
            bar.advance(n_now - n_before - bar.done)
        if failed is None:
            bar.total = bar.done  # second turns that first ones left nothing to ask in are not
    wait_for_tasks(begun)
    if failed is not None:
        raise failed


def _put(ended: Ended, shard: Shard, future: PrefectFuture[Any]) -> None:
    ended.put((future, shard))


def _startable(
    waiting: Sequence[Shard], running: Counter[str], todo: Job, n_workers: int
) -> Iterator[Shard]:
    """Yield the shards that may begin now; the caller counts them in `running`."""
    for shard in list(waiting):
        if running.total() < n_workers and running[shard.card.id] < todo.n_at_once[shard.card.id]:
            yield shard


def _failure(future: PrefectFuture[Any]) -> EscalometerError | None:
    """Return why a shard stopped, None if it did not."""
    future.wait()
    found = future.state.result(raise_on_failure=False)
    if isinstance(found, EscalometerError):
        return found
    if isinstance(found, BaseException):
        return ProviderError(
            f"a worker was lost several times: {found}. All answers are kept: run the same "
            "command to resume"
        )
    return None


@contextlib.contextmanager
def _runner(how: AskParams) -> Iterator[tuple[TaskRunner[Any], int]]:
    """Yield the task runner of a run, and the number of its workers."""
    if how.runner == "processes":
        n_workers = n_processes(how.n_workers, _n_cores())
        threads: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=n_workers)
        with threads:
            yield threads, n_workers
        return
    check_runner(how)
    runner, n_workers = (_dask if how.runner == "dask" else _ray)(how)
    context = FlowRunContext.get()
    assert context is not None  # noqa: S101 - for the type checker
    # Workers get the flow of this context, and do not have its module.
    stand_in: Flow[..., Any] = Flow(ask_shard, name=context.flow.name if context.flow else "ask")
    with context.model_copy(update={"flow": stand_in, "parameters": {}}), runner:
        yield runner, n_workers


def _dask(how: AskParams) -> tuple[TaskRunner[Any], int]:
    import distributed
    from prefect_dask.task_runners import DaskTaskRunner

    if how.cluster is None:
        n_workers = how.n_workers or _n_cores()
        local = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": None}
        return DaskTaskRunner(cluster_kwargs=local), n_workers
    try:
        with distributed.Client(  # type: ignore[no-untyped-call]
            how.cluster, timeout=_START_S, set_as_default=False
        ) as client:
            found = client.run(versions)
            n_threads = sum(client.nthreads().values())
    except (OSError, ValueError) as error:
        raise no_cluster(how, error) from error
    _check_versions(found)
    timeout = {"timeout": _START_S}
    return DaskTaskRunner(address=how.cluster, client_kwargs=timeout), how.n_workers or n_threads


def _ray(how: AskParams) -> tuple[TaskRunner[Any], int]:
    import ray
    from prefect_ray import RayTaskRunner
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if how.cluster is None:
        n_workers = how.n_workers or _n_cores()
        return RayTaskRunner(
            init_kwargs={"num_cpus": n_workers, "include_dashboard": False}
        ), n_workers
    try:
        with ray.init(how.cluster, namespace="prefect", logging_level="ERROR"):
            n_cpus = int(ray.cluster_resources().get("CPU", 0))
            nodes = {
                node["NodeID"]: f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"
                for node in ray.nodes()
                if node["Alive"] and node["Resources"].get("CPU")
            }
            on_each = [NodeAffinitySchedulingStrategy(name, soft=False) for name in nodes]
            task = ray.remote(versions)
            answers = ray.get([task.options(scheduling_strategy=one).remote() for one in on_each])
            found = dict(zip(nodes.values(), answers, strict=True))
    except (ConnectionError, RuntimeError, OSError) as error:
        raise no_cluster(how, error) from error
    finally:
        ray.shutdown()
    _check_versions(found)
    return RayTaskRunner(address=how.cluster), how.n_workers or n_cpus


def _check_versions(found: dict[str, dict[str, str]]) -> None:
    """Raise ProviderError if there is no worker, or one with other versions than here."""
    if not found:
        raise ProviderError("the cluster has no worker: start some, then run the same command")
    here = versions()
    for worker, there in found.items():
        differ = [f"{name} {there.get(name)}" for name in here if there.get(name) != here[name]]
        if differ:
            raise ProviderError(
                f"the worker {worker} has {', '.join(differ)}, and this run has {versions_text()}: "
                "install the same versions on all machines"
            )
