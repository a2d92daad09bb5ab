"""Evaluate the models of params.yaml: every stage of dvc.yaml, in order, one task each.

Run it as `python flows/evaluate.py`, or with flags as `escalometer evaluate`.
"""

from __future__ import annotations

import os
import sys
import time

# Prefect reads these when it is imported: our own lines say what happens, and nobody is told.
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

import prefect
from prefect.context import get_run_context

from escalometer.cli import workspace
from escalometer.config import load_card, load_params
from escalometer.errors import EscalometerError, Interrupted
from escalometer.lifeline import end_with_parent
from escalometer.pipeline import bring_up_to_date, stage_addresses
from escalometer.stages.analyze import is_unfinished
from escalometer.stages.store import predict_cost
from flows._server import served, wait_for_history


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@prefect.task(task_run_name="{address}")
def stage(address: str, is_forced: bool = False) -> bool:
    """Bring one DVC stage up to date and return whether it had to run."""
    return bring_up_to_date(address, is_forced=is_forced)


def say_cost() -> None:
    """Say what the queries of params.yaml will cost, all models and domains together."""
    params, place = load_params(), workspace()
    if params.sample.precision is not None:
        _say(f"asking until the threshold is known to ± {params.sample.precision:g}: how many")
        _say("dialogues that takes is not known before; --max-cost and --max-requests cap it")
        return
    for model in params.models:
        forecasts = [predict_cost(model, domain, params, place) for domain in params.domains]
        total = sum(forecasts[1:], start=forecasts[0])
        cap = params.ask.max_cost_usd
        _say(f"{model}: {total.spell()}{f'; budget ${cap:g}' if cap else ''}")
        if cap and total.low_usd > cap:
            _say("warning: that is more than the budget: the run will end early, and keep its work")


@prefect.flow(name="evaluate")
def evaluate(ask_again: bool = False, dry_run: bool = False) -> int:
    """Bring the whole pipeline up to date and return how many task runs this made.

    Parameters
    ----------
    ask_again : bool
        Whether queries run even where they are current: some kept answers are to be replaced.
    dry_run : bool
        Whether to end before the first query, once it is said what it would cost.
    """
    addresses = stage_addresses()
    is_said = False
    for i, address in enumerate(addresses, start=1):
        asks = address.startswith(("design@", "query@"))
        if asks and not is_said:
            say_cost()
            is_said = True
            if dry_run:
                return i - 1
        began = time.monotonic()
        _say(f"[{i}/{len(addresses)}] {address}")
        is_open = address.startswith("design@") and is_unfinished(address.partition("@")[2])
        ran = stage(address, is_open or (asks and ask_again))
        took_s = time.monotonic() - began
        _say(f"[{i}/{len(addresses)}] {address}: {f'done in {took_s:.0f} s' if ran else 'current'}")
    context = get_run_context()
    n_kept = wait_for_history(context.flow_run.id, len(addresses))  # type: ignore[union-attr]
    if n_kept < len(addresses):
        _say(f"warning: Prefect's history holds {n_kept} of {len(addresses)} task runs")
    return len(addresses)


def main() -> int:
    """Run the flow on a server of its own and return the exit code of interface.md."""
    if "--end-with-parent" in sys.argv[1:]:
        end_with_parent()
    try:
        for model in load_params().models:
            load_card(model)
        _say("starting Prefect …")
        with served():
            evaluate("--ask-again" in sys.argv[1:], "--dry-run" in sys.argv[1:])
    except EscalometerError as error:
        _say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        return Interrupted.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
