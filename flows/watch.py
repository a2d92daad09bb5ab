"""Look for new releases, judge each, and tell people what became of the models in use.

Run it by a deployment of prefect.yaml, on a schedule.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import prefect
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from escalometer.cli import workspace
from escalometer.config import load_card, load_params
from escalometer.dialogue.asking import check_price
from escalometer.errors import EscalometerError, Outage, ProviderError, UsageError
from escalometer.operations import evaluation, releases
from escalometer.operations import watch as operation
from flows._artifacts import key
from flows._notices import Kind, notify, notifying
from flows._stages import RETRY_DELAYS_S, flow
from flows._words import say
from flows.release import release

#: Notices of `models watch` that are about the end of a model.
_ENDS = ("retiring", "retired", "gone")


@prefect.task(name="look at lists", cache_policy=NO_CACHE)
def looked() -> operation.Watched:
    """Return what the providers' lists have; cards of new releases are written."""
    found = operation.look(load_params(), workspace(), date.today())
    rows: list[dict[str, Any]] = [
        *({"model": new["model"], "kind": "new", "text": new["card"]} for new in found.new),
        *found.notices,
        *(
            {"model": one["name"], "kind": "no card", "text": one["reason"]}
            for one in found.ignored
        ),
        *(
            {"model": one["endpoint"], "kind": "no list", "text": one["reason"]}
            for one in found.failed
        ),
    ]
    create_table_artifact(rows, key("watch"), f"{found.n_listed} models on the lists")
    return found


@flow(name="watch", flow_run_name=lambda: f"watch {date.today()}")
def watch(
    domains: list[str] | None = None,
    interventions: list[str] | None = None,
    cost_ratios: list[float] | None = None,
    samples: int | None = None,
    max_cost_usd: float | None = None,
    max_requests: int | None = None,
    allow_unpriced: bool | None = None,
    promote: bool = False,
    retry_delays_s: list[float] | None = None,
) -> dict[str, str]:
    """Judge every new release, and return the verdicts by model.

    A release stays pending until it has a verdict: after an outage, a budget that did not suffice
    or a card without a price, the next run goes on with the answers that are stored.

    Parameters
    ----------
    domains, interventions, cost_ratios, samples : optional
        As of the flow `evaluate`.
    max_cost_usd, max_requests : float, int, optional
        Limits for each release.
    allow_unpriced : bool, optional
        Whether releases are evaluated before somebody has filled in their price.
    promote : bool
        Whether a release that passes is put in use.
    retry_delays_s : list of float, optional
        Pauses in seconds before what failed in an outage is tried again.
    """
    verdicts, failed = {}, list[str]()
    with notifying():
        delays_s = list(RETRY_DELAYS_S if retry_delays_s is None else retry_delays_s)
        root = workspace().root
        found = looked()
        _tell(found)
        limits = evaluation.limits(max_cost_usd, max_requests, allow_unpriced)
        for model in releases.pending([new["model"] for new in found.new], root):
            try:
                _check_price(model, limits)
            except UsageError as error:  # each time anew until somebody corrects it: told once
                releases.record(model, "pending", root, str(error))
                if releases.tell(str(error), root):
                    notify("error", model, f"{model} waits for its evaluation", str(error))
                else:
                    say(f"{model} still waits: {error}")
                continue
            try:
                verdicts[model] = release(
                    model=model,
                    domains=domains,
                    interventions=interventions,
                    cost_ratios=cost_ratios,
                    samples=samples,
                    promote=promote,
                    retry_delays_s=delays_s,
                    **limits,
                )
            except EscalometerError as error:  # people are told; the others are judged all the same
                releases.record(model, "pending", root, str(error))
                failed.append(model)
        _check_lists(found)
    if failed:  # people were told why
        raise ProviderError(
            f"no verdict on {', '.join(failed)}: the next run tries again with stored answers"
        )
    return verdicts


def _check_price(model: str, limits: dict[str, Any]) -> None:
    check_price(load_card(model), workspace().with_limits(limits).asking(load_params()))


def _tell(found: operation.Watched) -> None:
    """Tell people of new releases, and once of each change of a model in use."""
    root = workspace().root
    for new in found.new:
        text = f"{new['name']} is on the list of its provider; its card is {new['card']}"
        notify("release", new["model"], f"New release: {new['model']}", text)
    for notice in found.notices:
        if releases.tell(notice["text"], root):
            is_end = notice["kind"] in _ENDS
            subject = "A model in use ends" if is_end else "A model in use has changed"
            kind: Kind = "retirement" if is_end else "change"
            notify(kind, notice["model"], f"{subject}: {notice['model']}", notice["text"])


def _check_lists(found: operation.Watched) -> None:
    if found.failed:
        reasons = "; ".join(failure["reason"] for failure in found.failed)
        raise Outage(f"no list of models from {len(found.failed)} of the providers: {reasons}")


if __name__ == "__main__":
    from flows._stages import run_served

    raise SystemExit(run_served(load_params, lambda: watch(retry_delays_s=[])))
