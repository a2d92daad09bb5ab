"""Evaluate the models of params.yaml: every stage of dvc.yaml, in order, one task each.

Run it as `python flows/evaluate.py`, or with flags as `escalometer evaluate`.
"""

from __future__ import annotations

import sys

from escalometer.analysis.decisions import is_unfinished
from escalometer.cli import workspace
from escalometer.config import load_card, load_params
from escalometer.operations.adapter_results import is_report_behind
from escalometer.operations.store import predict_cost
from escalometer.pipeline import FINE_TUNING, stage_addresses
from flows._stages import bring, flow, run_served, say, settle


def say_cost() -> None:
    """Print the forecast cost of the queries in params.yaml, by model."""
    params, place = load_params(), workspace()
    if params.sample.precision is not None:
        say(f"asking until the threshold is known to ± {params.sample.precision:g}: how many")
        say("dialogues that takes is not known before; --max-cost and --max-requests cap it")
        return
    for model in params.models:
        forecasts = [predict_cost(model, domain, params, place) for domain in params.domains]
        total = sum(forecasts[1:], start=forecasts[0])
        cap = params.ask.max_cost_usd
        say(f"{model}: {total.spell()}{f'; budget ${cap:g}' if cap else ''}")
        if cap and total.low_usd > cap:
            say("warning: that is more than the budget: the run will end early, and keep its work")


@flow(name="evaluate")
def evaluate(ask_again: bool = False, dry_run: bool = False) -> int:
    """Bring the whole pipeline up to date and return the number of task runs.

    Parameters
    ----------
    ask_again : bool
        Whether queries run even where they are current: some kept answers are to be replaced.
    dry_run : bool
        Whether to end before the first query, once it is said what it would cost.
    """
    addresses = [a for a in stage_addresses() if a.partition("@")[0] not in FINE_TUNING]
    is_cost_shown = False
    for i, address in enumerate(addresses, start=1):
        name, _, cell = address.partition("@")
        asks = name in ("design", "query")
        if asks and not is_cost_shown:
            say_cost()
            is_cost_shown = True
            if dry_run:
                return i - 1
        is_open = name == "design" and is_unfinished(cell)
        is_behind = name == "report" and is_report_behind()
        is_forced = is_open or is_behind or (asks and ask_again)
        bring(address, f"{i}/{len(addresses)}", is_forced)
    settle(len(addresses))
    return len(addresses)


def main() -> int:
    """Run the flow on its own server and return its exit code (README.md, "Commands")."""
    flags = sys.argv[1:]

    def check() -> None:
        for model in load_params().models:
            load_card(model)

    return run_served(check, lambda: evaluate("--ask-again" in flags, "--dry-run" in flags))


if __name__ == "__main__":
    sys.exit(main())
