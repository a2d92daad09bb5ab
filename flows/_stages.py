"""Common parts of the flows: a task for each DVC stage, its messages, and where the time went."""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import prefect
from prefect.cache_policies import NO_CACHE
from prefect.context import get_run_context

from escalometer.errors import EscalometerError, Interrupted, Outage
from escalometer.pipeline import Bring, StageFailed, bring_up_to_date
from escalometer.reporting.timings import print_timings
from escalometer.runtime import stage_report
from escalometer.runtime.interruption import end_with_parent
from escalometer.runtime.timings import Timings
from escalometer.runtime.warm_process import read_usage, warmed
from flows._artifacts import shown_progress
from flows._place import working_in
from flows._runs import mark
from flows._server import deliver, served, wait_for_history
from flows._words import log, say

Function = TypeVar("Function", bound=Callable[..., Any])


#: Pauses in seconds before a stage that failed in an outage is tried again.
RETRY_DELAYS_S = (30.0, 120.0, 600.0)

#: Where the time of this process's run goes.
TIMINGS = Timings()


def flow(name: str, flow_run_name: str | Callable[[], str]) -> Callable[[Function], Function]:
    """Return the decorator of a flow, whose runs have names that people read.

    Parameters
    ----------
    name : str
        The flow's.
    flow_run_name : str or callable
        With the flow's parameters in braces, or a function that returns it.
    """
    hooks: list[Any] = [mark]
    decorated: Any = prefect.flow(name=name, flow_run_name=flow_run_name, on_running=hooks)
    return decorated  # type: ignore[no-any-return]


def is_passing(_task: Any, _run: Any, state: Any) -> bool:
    """Return whether a failed task may succeed later: its failure is an outage."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, Outage) or (isinstance(error, StageStopped) and error.is_passing)


class StageStopped(EscalometerError):
    """A stage that failed, with the reason that it reported. Carries its exit code on."""

    def __init__(self, failed: StageFailed, why: stage_report.StageError | None) -> None:
        super().__init__(f"{failed}: {why.message}" if why else str(failed))
        self.exit_code = failed.exit_code
        self.summary = str(failed)
        self.is_passing = why is not None and why.is_passing


@prefect.task(task_run_name="{address}", cache_policy=NO_CACHE, retry_condition_fn=is_passing)
def stage(address: str, bring: Bring, folder: Path) -> bool:
    """Bring one DVC stage up to date and return whether it had to run.

    Raises
    ------
    StageStopped
        If it failed; after an outage the task is run again.
    """
    stage_report.clear(folder)
    with shown_progress(address, folder):
        try:
            return bring()
        except StageFailed as error:
            stopped = StageStopped(error, stage_report.read_error(folder))
            log(str(stopped), logging.ERROR)  # the stage has printed it
            if stopped.is_passing:
                say(f"{address}: the provider does not answer at the moment", logging.WARNING)
            raise stopped from error


@prefect.task(name="check models", cache_policy=NO_CACHE, retry_condition_fn=is_passing)
def _check(check: Callable[[], object]) -> None:
    check()


def checked(check: Callable[[], object], retry_delays_s: Sequence[float]) -> None:
    """Run a check, again after pauses in seconds while a provider does not answer."""
    n = len(retry_delays_s)
    _check.with_options(retries=n, retry_delay_seconds=list(retry_delays_s) or 0)(check)


def bring_all(
    addresses: Sequence[str],
    is_forced: Callable[[str], bool] = lambda _: False,
    before: Callable[[str], object] = lambda _: None,
    retry_delays_s: Sequence[float] = (),
) -> int:
    """Bring stages up to date in their order, with messages, and return the number of task runs.

    Parameters
    ----------
    addresses : sequence of str
        The stages.
    is_forced : callable
        Takes an address; returns whether to run the stage even if its output is current.
    before : callable
        Takes the address of the stage that comes next; an error that it raises ends the run.
    retry_delays_s : sequence of float
        Pauses in seconds before a stage that failed in an outage is tried again.
    """
    n_begun = 0
    task = stage.with_options(
        retries=len(retry_delays_s), retry_delay_seconds=list(retry_delays_s) or 0
    )
    with tempfile.TemporaryDirectory(prefix="escalometer-") as name:
        report = Path(name)

        def around(address: str, bring: Bring) -> bool:
            nonlocal n_begun
            before(address)
            n_begun += 1
            place = f"[{n_begun}/{len(addresses)}]"
            say(f"{place} {address}")
            with TIMINGS.measuring(address) as measured:
                ran = task(address, bring, report)
            say(f"{place} {address}: {f'done in {measured.wall_s:.1f} s' if ran else 'current'}")
            return ran

        with working_in(Path(), {stage_report.VARIABLE: name}):
            bring_up_to_date(addresses, is_forced=is_forced, around=around)
    return n_begun


def settle(n_tasks: int) -> None:
    """Wait until Prefect's history holds the task runs of this flow."""
    context = get_run_context()
    n_kept = wait_for_history(context.flow_run.id, n_tasks)  # type: ignore[union-attr]
    if n_kept < n_tasks:
        say(f"warning: Prefect's history has {n_kept} of {n_tasks} task runs")


def run_served(check: Callable[[], object], run: Callable[[], object]) -> int:
    """Run a flow on its own server and return its exit code (docs/reference/exit-codes.md).

    With --timings it ends with where the time went.

    Parameters
    ----------
    check : callable
        Raises an error that can be found before a server is started.
    run : callable
        Runs the flow.
    """
    if "--end-with-parent" in sys.argv[1:]:
        end_with_parent()
    try:
        with TIMINGS.measuring("checks before the run"):
            check()
        say("starting Prefect …")
        with warmed() as warm:
            try:
                with contextlib.ExitStack() as stack:
                    with TIMINGS.measuring("start of Prefect"):
                        stack.enter_context(served())
                    stack.callback(deliver)
                    run()
            finally:
                if warm is not None:
                    TIMINGS.add_usage(read_usage(warm))
    except StageStopped as error:  # the stage has printed the reason
        say(f"error: {error.summary}")
        return error.exit_code
    except EscalometerError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted")
        return Interrupted.exit_code
    finally:
        if "--timings" in sys.argv[1:]:
            print_timings(TIMINGS, sys.stderr)
    return 0
