"""Judge a new release: evaluate it, compare it with the one in use, gate, record, tell people.

Run it by a deployment of prefect.yaml, or as a part of `watch` and `canary`.
"""

from __future__ import annotations

from pathlib import Path

import prefect
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from escalometer.cli import workspace
from escalometer.config import Params, Workspace, load_card, load_params
from escalometer.dialogue.asking import check_price
from escalometer.documents import Verdict
from escalometer.errors import EscalometerError
from escalometer.operations import compare, evaluation, gate, registry, releases
from escalometer.reporting.comparison_text import comparison_text
from flows._artifacts import key, run_link, show_links, show_verdict
from flows._notices import notify_verdict, notifying
from flows._place import working_in
from flows._runs import parameters
from flows._stages import flow
from flows._words import say
from flows.evaluate import evaluate


@prefect.task(task_run_name="compare {model} with {against}", cache_policy=NO_CACHE)
def compared(model: str, against: str, params: Params) -> None:
    """Keep the comparison of two models as an artifact."""
    comparison = compare.run(against, model, params, Path())
    text = f"```\n{comparison_text(comparison)}\n```"
    about = f"{model} compared with {against}"
    create_markdown_artifact(text, key("comparison", model), about)


@prefect.task(task_run_name="gate {model}", cache_policy=NO_CACHE)
def judged(model: str, against: str | None, params: Params, place: Workspace) -> Verdict:
    """Return the verdict on a release, with its artifacts in Prefect."""
    verdict = gate.run(model, params, place.root, against, uri=place.tracking)
    show_verdict(verdict)
    show_links([model, *([against] if against else [])], place.root)
    return verdict


@prefect.task(task_run_name="record {model}", cache_policy=NO_CACHE)
def recorded(model: str, verdict: Verdict, params: Params, place: Workspace) -> str:  # noqa: ARG001
    """Record a verdict in MLflow, put the release in use if it passes, and say what was done."""
    name = params.track.registered_model
    return registry.promote(verdict, place.root, place.tracking, name).text


def _name() -> str:
    return str(parameters()["model"])


@flow(name="release", flow_run_name=_name)
def release(
    model: str,
    against: str | None = None,
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
    retry: list[str] | None = None,
    retry_before: str | None = None,
    promote: bool = False,
    retry_delays_s: list[float] | None = None,
) -> str:
    """Judge a release and return the verdict: pass, fail or inconclusive.

    Parameters that are not given are those of params.yaml, which stays as it is.

    Parameters
    ----------
    model : str
        Its card.
    against : str, optional
        The release in use, which is evaluated with it; `gate.against` of params.yaml by default.
    domains, interventions, cost_ratios, samples, precision, replicates : optional
        As of the flow `evaluate`.
    max_cost_usd, max_requests, allow_unpriced, use_batches : optional
        As of the flow `evaluate`.
    retry, retry_before, retry_delays_s : optional
        As of the flow `evaluate`.
    promote : bool
        Whether a release that passes is put in use: MLflow's alias `in-use` moves to it. The
        verdict is recorded there in any case.
    """
    with notifying(model):
        params, project = load_params(), workspace()
        name = params.track.registered_model
        in_use, note = registry.resolved(
            model, against or params.gate.against, project.root, project.tracking, name
        )
        if note:
            say(note)
        limits = evaluation.limits(max_cost_usd, max_requests, allow_unpriced, use_batches)
        check_price(load_card(model), project.with_limits(limits).asking(params))
        other = in_use if in_use != model else None
        folder = evaluate(
            # The release last: the newest evaluation becomes MLflow's candidate.
            models=[*([other] if other else []), model],
            domains=domains,
            interventions=interventions,
            cost_ratios=cost_ratios,
            samples=samples,
            precision=precision,
            replicates=replicates,
            retry=retry,
            retry_before=retry_before,
            retry_delays_s=retry_delays_s,
            **limits,
        )
        verdict, promotion, link = _decided(model, other, Path(folder), project, promote)
        releases.record(model, verdict.verdict, project.root)
        notify_verdict(verdict, promotion, link)
        return verdict.verdict


def _decided(
    model: str, against: str | None, folder: Path, project: Workspace, is_promoted: bool
) -> tuple[Verdict, str, str | None]:
    """Return the verdict, a sentence about its record, and the run's address in MLflow."""
    from escalometer.operations import run_folder

    is_apart = folder.resolve() != project.root.resolve()
    with working_in(folder, run_folder.environment(project) if is_apart else {}):
        params, place = load_params(), workspace()
        if against:
            compared(model, against, params)
        verdict = judged(model, against, params, place)
        link = run_link(model, place.root)
        if not is_promoted:
            return verdict, "", link
        try:
            return verdict, recorded(model, verdict, params, place), link
        except EscalometerError:
            say(f"{model}: the verdict is {verdict.verdict}, and nothing was promoted")
            raise
