"""Evaluate the models of params.yaml: every stage of dvc.yaml, in order, one task each.

Run it as `python flows/evaluate.py`, or with flags as `escalometer evaluate`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from escalometer.runtime.ending import end_at_once, leave_with

if __name__ == "__main__":  # before what is imported registers handlers
    end_at_once()

from escalometer.cli import workspace
from escalometer.config import load_params
from escalometer.operations import evaluation
from flows._stages import TIMINGS, bring_all, flow, run_served, say, settle


@flow(name="evaluate")
def evaluate(
    ask_again: bool = False, dry_run: bool = False, addresses: Sequence[str] | None = None
) -> int:
    """Bring the whole pipeline up to date and return the number of task runs.

    Parameters
    ----------
    ask_again : bool
        Whether queries run even where they are current: some kept answers are to be replaced.
    dry_run : bool
        Whether to end before the first query, once it is said what it would cost.
    addresses : sequence of str, optional
        The stages, where they are known.
    """
    params, place = load_params(), workspace()
    if addresses is None:
        plan, _ = evaluation.planned(ask_again, dry_run)
    else:
        plan = evaluation.Evaluation(addresses, ask_again)
    is_checked = False

    def check_asking() -> None:
        nonlocal is_checked
        if not is_checked:
            is_checked = True
            with TIMINGS.measuring("forecast of the cost"):
                evaluation.check_context(params, place)
                for line in evaluation.cost_lines(params, place):
                    say(line)

    def before(address: str) -> None:
        if evaluation.stage_name(address) in evaluation.ASKING:
            check_asking()

    n = bring_all(plan.addresses, plan.is_forced, before)
    if dry_run:
        check_asking()
    settle(n)
    return n


def main() -> int:
    """Run the flow on its own server and return its exit code (docs/reference/exit-codes.md)."""
    flags = sys.argv[1:]
    # Of `escalometer evaluate`, which has checked the models and knows the stages.
    checked = next((flag for flag in flags if flag.startswith("--checked=")), None)
    addresses = checked.partition("=")[2].split(",") if checked else None

    def check() -> None:
        if checked is None:
            evaluation.check_models(load_params(), workspace())

    return run_served(
        check, lambda: evaluate("--ask-again" in flags, "--dry-run" in flags, addresses)
    )


if __name__ == "__main__":
    leave_with(main)
