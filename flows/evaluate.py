"""Evaluate models: every stage of dvc.yaml, in order, one task each.

Run it as `python flows/evaluate.py` for the models of params.yaml, with flags as
`escalometer evaluate`, or by a deployment of prefect.yaml with parameters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from escalometer.runtime.ending import end_at_once, leave_with

if __name__ == "__main__":  # before what is imported registers handlers
    end_at_once()

from escalometer.cli import workspace
from escalometer.config import Params, Workspace, load_params
from escalometer.operations import evaluation, project
from escalometer.operations.cells import check_runner
from flows._artifacts import show_profiles
from flows._cells import fill_store
from flows._notices import notifying
from flows._place import HELD, placed
from flows._runs import parameters, run_id
from flows._stages import (
    RETRY_DELAYS_S,
    TIMINGS,
    bring_all,
    checked,
    flow,
    run_served,
    settle,
)
from flows._words import say

#: The stages, where the command that started this process knows them and has checked the models.
_known: list[str] = []


def _name() -> str:
    given = parameters()
    models = given.get("models") or load_params().models
    domains = given.get("domains") or load_params().domains
    return f"{', '.join(models)} on {', '.join(domains)}"


@flow(name="evaluate", flow_run_name=_name)
def evaluate(
    models: list[str] | None = None,
    domains: list[str] | None = None,
    interventions: list[str] | None = None,
    cost_ratios: list[float] | None = None,
    samples: int | None = None,
    precision: float | None = None,
    replicates: int | None = None,
    max_cost_usd: float | None = None,
    max_requests: int | None = None,
    allow_unpriced: bool | None = None,
    use_batches: bool | None = None,
    runner: str | None = None,
    cluster: str | None = None,
    n_workers: int | None = None,
    retry: list[str] | None = None,
    retry_before: str | None = None,
    dry_run: bool = False,
    retry_delays_s: list[float] | None = None,
) -> str:
    """Bring an evaluation up to date and return the folder that has its outputs.

    Parameters that are not given are those of params.yaml, which stays as it is: with others, the
    run has a folder of its own.

    Parameters
    ----------
    models, domains, interventions : list of str, optional
        Names of cards, domains and interventions.
    cost_ratios : list of float, optional
        Cost ratios R: stated in prompts and used for scoring.
    samples : int, optional
        Scenarios per condition.
    precision : float, optional
        In place of `samples`: adaptive sampling until the 95% interval of the threshold is so wide
        to either side.
    replicates : int, optional
        Repetitions of each dialogue.
    max_cost_usd, max_requests : float, int, optional
        Limits of this run: its cost in US dollars, its number of requests.
    allow_unpriced, use_batches : bool, optional
        Whether models without a price, and the provider's batch API, are used in this run.
    runner, cluster, n_workers : str, str, int, optional
        Where several cells are asked at once (processes | dask | ray), the address of the cluster,
        and the number of cells.
    retry : list of str, optional
        Statuses whose dialogues are requested again.
    retry_before : str, optional
        Time in ISO 8601 from which on stored answers are not requested again.
    dry_run : bool
        Whether to end before the first request, with the forecast cost.
    retry_delays_s : list of float, optional
        Pauses in seconds before a stage that failed in an outage is tried again.
    """
    changes = evaluation.changes(
        load_params(), models, domains, interventions, cost_ratios, samples, precision, replicates
    )
    limits = evaluation.limits(
        max_cost_usd, max_requests, allow_unpriced, use_batches, runner, cluster, n_workers
    )
    delays_s = RETRY_DELAYS_S if retry_delays_s is None else retry_delays_s
    with (
        notifying(),
        placed(changes, limits, retry or (), retry_before, run_id()) as (params, place),
    ):
        n = _brought_up_to_date(params, place, bool(retry), dry_run, delays_s)
        if not dry_run:
            show_profiles(params.models, place.root)
        settle(n)
        return str(place.root)


def _brought_up_to_date(
    params: Params,
    place: Workspace,
    asks_again: bool,
    dry_run: bool,
    delays_s: Sequence[float],
) -> int:
    """Bring all stages up to date, and return the number of task runs."""
    if _known:
        plan = evaluation.Evaluation(_known, asks_again)
    else:
        project.prepare(params.models, place.root)
        plan, due = evaluation.planned(asks_again, dry_run)
        if dry_run or (due and evaluation.may_ask(due)):
            checked(lambda: evaluation.check_models(params, place), delays_s)
            check_runner(place.asking(params))
    is_checked = False
    n_asked: list[int] = []
    missing: list[str] = []

    def check_asking() -> None:
        nonlocal is_checked
        if not is_checked:
            is_checked = True
            with TIMINGS.measuring("forecast of the cost"):
                evaluation.check_context(params, place)
                found = evaluation.forecasts(params, place)
                for line in evaluation.cost_lines(params, place, found):
                    say(line)
                missing.extend(model for model, one in (found or {}).items() if one.n_requests)

    def before(address: str) -> None:
        if evaluation.stage_name(address) in evaluation.ASKING:
            check_asking()
        if evaluation.stage_name(address) == "query" and missing and not n_asked:
            with TIMINGS.measuring("cells side by side"):
                n_asked.append(fill_store(missing, params, place, delays_s))

    n = bring_all(plan.addresses, plan.is_forced, before, delays_s)
    if dry_run:
        check_asking()
    return n + sum(n_asked)


def main() -> int:
    """Run the flow on the project's server; return its code (docs/reference/exit-codes.md)."""
    flags = dict(word.partition("=")[::2] for word in sys.argv[1:])
    if stages := flags.get("--checked"):  # of `escalometer evaluate`, which holds the lock too
        _known.extend(stages.split(","))
        HELD.add(workspace().root.resolve())
    given = json.loads(flags.get("--parameters") or "{}")
    return run_served(load_params, lambda: evaluate(**{"retry_delays_s": [], **given}))


if __name__ == "__main__":
    leave_with(main, waits_for_threads=False)
