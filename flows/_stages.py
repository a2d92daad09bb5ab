"""Common parts of the flows: a task that brings a DVC stage up to date, and its messages."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

# Prefect reads these when it is imported: the flows print their own lines, and send no analytics.
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

import prefect
from prefect.context import get_run_context

from escalometer.errors import EscalometerError, Interrupted
from escalometer.pipeline import bring_up_to_date
from escalometer.runtime.interruption import end_with_parent
from flows._server import served, wait_for_history

flow = prefect.flow


def say(text: str) -> None:
    """Print a line for the user on standard error; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


@prefect.task(task_run_name="{address}")
def stage(address: str, is_forced: bool = False) -> bool:
    """Bring one DVC stage up to date and return whether it had to run."""
    return bring_up_to_date(address, is_forced=is_forced)


def bring(address: str, place: str, is_forced: bool = False) -> bool:
    """Bring one DVC stage up to date, with messages, and return whether it had to run.

    Parameters
    ----------
    address : str
        The stage.
    place : str
        The position in the flow, such as ``"3/12"``.
    is_forced : bool
        Whether to run it even if its output is current.
    """
    began = time.monotonic()
    say(f"[{place}] {address}")
    ran = stage(address, is_forced)
    took_s = time.monotonic() - began
    say(f"[{place}] {address}: {f'done in {took_s:.0f} s' if ran else 'current'}")
    return ran


def settle(n_tasks: int) -> None:
    """Wait until Prefect's history holds the task runs of this flow."""
    context = get_run_context()
    n_kept = wait_for_history(context.flow_run.id, n_tasks)  # type: ignore[union-attr]
    if n_kept < n_tasks:
        say(f"warning: Prefect's history holds {n_kept} of {n_tasks} task runs")


def run_served(check: Callable[[], object], run: Callable[[], object]) -> int:
    """Run a flow on its own server and return its exit code (README.md, "Commands").

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
        check()
        say("starting Prefect …")
        with served():
            run()
    except EscalometerError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted")
        return Interrupted.exit_code
    return 0
