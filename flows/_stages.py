"""Common parts of the flows: a task for each DVC stage, its messages, and where the time went."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence

# Prefect reads these when it is imported: the flows print their own lines, and send no analytics.
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_LOGGING_SERVER_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

import prefect
from prefect.cache_policies import NO_CACHE
from prefect.context import get_run_context

from escalometer.errors import EscalometerError, Interrupted
from escalometer.pipeline import Bring, bring_up_to_date
from escalometer.reporting.timings import print_timings
from escalometer.runtime.interruption import end_with_parent
from escalometer.runtime.timings import Timings
from escalometer.runtime.warm_process import read_usage, warmed
from flows._server import served, wait_for_history

flow = prefect.flow

#: Where the time of this process's run goes.
TIMINGS = Timings()


def say(text: str) -> None:
    """Print a line for the user on standard error; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


@prefect.task(task_run_name="{address}", cache_policy=NO_CACHE)
def stage(address: str, bring: Bring) -> bool:  # noqa: ARG001 - it names the task run
    """Bring one DVC stage up to date and return whether it had to run."""
    return bring()


def bring_all(
    addresses: Sequence[str],
    is_forced: Callable[[str], bool] = lambda _: False,
    before: Callable[[str], object] = lambda _: None,
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
    """
    n_begun = 0

    def around(address: str, bring: Bring) -> bool:
        nonlocal n_begun
        before(address)
        n_begun += 1
        place = f"[{n_begun}/{len(addresses)}]"
        say(f"{place} {address}")
        with TIMINGS.measuring(address) as measured:
            ran = stage(address, bring)
        say(f"{place} {address}: {f'done in {measured.wall_s:.1f} s' if ran else 'current'}")
        return ran

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
                    run()
            finally:
                if warm is not None:
                    TIMINGS.add_usage(read_usage(warm))
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
