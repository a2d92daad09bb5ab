"""Ask the canary's panel of models again; drift starts a new evaluation.

Run it by a deployment of prefect.yaml, once a day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import prefect
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from escalometer.cli import workspace
from escalometer.config import Params, load_params
from escalometer.dialogue.elicitation.rows import OUTCOMES
from escalometer.documents import CanaryLook
from escalometer.errors import EscalometerError, ProviderError
from escalometer.operations import canary as operation
from escalometer.operations import evaluation, registry, releases
from flows._artifacts import key
from flows._notices import notify, notifying
from flows._stages import RETRY_DELAYS_S, flow, is_passing
from flows.release import release


@prefect.task(task_run_name="look at {model}", cache_policy=NO_CACHE, retry_condition_fn=is_passing)
def looked(
    model: str, limits: dict[str, Any], again: bool = False, is_restarted: bool = False
) -> CanaryLook:
    """Return the result of one look at a model, whose panel is asked and paid for."""
    place = workspace().with_limits(limits)
    now = datetime.now(UTC)
    found = operation.look(model, load_params(), place, now, is_restarted, again=again)
    rows = [{"number": name, "value": value} for name, value in _numbers(found).items()]
    create_table_artifact(rows, key("canary", model), f"{model}: {found.status}")
    return found


@flow(name="canary", flow_run_name=lambda: f"canary {date.today()}")
def canary(
    models: list[str] | None = None,
    max_cost_usd: float | None = None,
    max_requests: int | None = None,
    allow_unpriced: bool | None = None,
    promote: bool = False,
    again: bool = False,
    retry_delays_s: list[float] | None = None,
) -> dict[str, str]:
    """Look at models for drift, evaluate again those that drifted, and return their status.

    Drift is no verdict: the model is evaluated with fresh answers and judged by the gate, and a
    new baseline begins.

    Parameters
    ----------
    models : list of str, optional
        Cards; the release in use by default, or else the models of params.yaml.
    max_cost_usd, max_requests : float, int, optional
        Limits of each evaluation after drift.
    allow_unpriced : bool, optional
        Whether models without a price are asked.
    promote : bool
        Whether the verdict on a model that drifted is recorded in MLflow.
    again : bool
        Whether to look although there was a look today.
    retry_delays_s : list of float, optional
        Pauses in seconds before what failed in an outage is tried again.
    """
    delays_s = list(RETRY_DELAYS_S if retry_delays_s is None else retry_delays_s)
    task = looked.with_options(retries=len(delays_s), retry_delay_seconds=delays_s or 0)
    # The evaluation's budget is not the panel's, which is fixed by its size.
    limits = evaluation.limits(allow_unpriced=allow_unpriced)
    statuses: dict[str, str] = {}
    failed = []
    for model in models or _in_use(load_params()):
        try:
            with notifying(model):
                found = task(model, limits, again)
                statuses[model] = found.status
                _tell(found)
                if found.status == "drift":
                    release(
                        model=model,
                        retry=list(OUTCOMES),
                        # A run that was stopped goes on without asking anything twice.
                        retry_before=found.drift_at,
                        promote=promote,
                        retry_delays_s=delays_s,
                        max_cost_usd=max_cost_usd,
                        max_requests=max_requests,
                        allow_unpriced=allow_unpriced,
                    )
                    task(model, limits, is_restarted=True)
        except EscalometerError as error:  # people are told; the others are looked at all the same
            statuses[model] = str(error)
            failed.append(model)
    if failed:
        raise ProviderError(f"no look at {', '.join(failed)}, or no evaluation after drift")
    return statuses


def _in_use(params: Params) -> list[str]:
    """Return the release in use, or else the models of the parameters."""
    place = workspace()
    name = params.track.registered_model
    found, _ = registry.resolved("", params.gate.against, place.root, place.tracking, name)
    return [found] if found else list(params.models)


def _tell(found: CanaryLook) -> None:
    root = workspace().root
    for notice in found.notices:
        if releases.tell(f"{found.model}: {notice.text}", root):
            notify("change", found.model, f"{found.model} has changed", notice.text)
    if found.status == "drift":
        notify(
            "drift",
            found.model,
            f"Drift: {found.model} no longer answers as it did",
            f"{found.n_flips} of {found.n_answered} answers differ from the first ones, "
            f"{found.expected_flips:.1f} are expected; since {found.drift_since}. It is evaluated "
            "again with fresh answers. Drift alone is no failure.",
        )


def _numbers(found: CanaryLook) -> dict[str, Any]:
    content = found.model_dump(mode="json", exclude={"notices", "model"})
    return {name: str(value) for name, value in content.items()}


if __name__ == "__main__":
    from flows._stages import run_served

    raise SystemExit(run_served(load_params, lambda: canary(retry_delays_s=[])))
