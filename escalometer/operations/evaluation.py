"""An evaluation before it starts: which stages it has, what would stop it, what it will cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from escalometer import layout
from escalometer.analysis.designs import is_unfinished
from escalometer.cases import catalog
from escalometer.config import ModelCard, Params, Workspace, load_card
from escalometer.dialogue import deployer_prompts
from escalometer.dialogue import interventions as all_interventions
from escalometer.dialogue.cell import Cell, longest_dialogue
from escalometer.dialogue.elicitation.forecast import CHARACTERS, Forecast
from escalometer.dialogue.providers import check
from escalometer.errors import (
    DataError,
    EscalometerError,
    ProviderError,
    UsageError,
    unknown_name,
)
from escalometer.operations.adapter_results import is_report_behind
from escalometer.operations.model_cards import card_named
from escalometer.operations.store import predict_costs
from escalometer.pipeline import FINE_TUNING, first_outdated

#: Stages that ask a model.
ASKING = ("design", "query")


@dataclass(frozen=True)
class Evaluation:
    """The stages of an evaluation, in order, and which of them run although they are current.

    Attributes
    ----------
    addresses : sequence of str
        As `stage_addresses` has them.
    asks_again : bool
        Whether some stored answers are to be replaced.
    """

    addresses: Sequence[str]
    asks_again: bool = False

    def is_forced(self, address: str) -> bool:
        """Return whether a stage runs even if DVC finds its output current."""
        name, _, cell = address.partition("@")
        return (
            (name == "design" and is_unfinished(cell))
            or (name == "report" and is_report_behind())
            or (name in ASKING and self.asks_again)
        )


def changes(
    params: Params,
    models: Sequence[str] | None = None,
    domains: Sequence[str] | None = None,
    interventions: Sequence[str] | None = None,
    cost_ratios: Sequence[float] | None = None,
    samples: int | None = None,
    precision: float | None = None,
    replicates: int | None = None,
) -> dict[tuple[str, ...], Any]:
    """Return the parameters that the options of an evaluation set, as `config.edit_params` takes.

    Parameters
    ----------
    params : Params
        As params.yaml has them; options that are not given keep them.
    models, domains, interventions : sequence of str, optional
        Names; a model may be spelled inspect/PROVIDER/MODEL.
    cost_ratios : sequence of float, optional
        Cost ratios, of prompts and of scoring.
    samples : int, optional
        Scenarios per condition.
    precision : float, optional
        Half-width of the threshold's interval, in place of `samples`.
    replicates : int, optional
        Repetitions of each dialogue.

    Raises
    ------
    UsageError
        If a name does not exist, or `samples` and `precision` are both given.
    """
    found: dict[tuple[str, ...], Any] = {}
    if models:
        found[("models",)] = [card_named(model) for model in models]
    for name in domains or params.domains:
        catalog.load(name)
    for name in interventions or params.query.interventions:
        if name not in all_interventions.names():
            raise unknown_name("intervention", name, all_interventions.names())
    if deployer_prompts.NAME in (interventions or params.query.interventions):
        deployer_prompts.deployer_prompt(params)  # before anything is asked and paid for
    if domains:
        found[("domains",)] = list(domains)
    if interventions:
        found[("query", "interventions")] = list(interventions)
    if cost_ratios:
        ratios = [int(ratio) if float(ratio).is_integer() else ratio for ratio in cost_ratios]
        found[("query", "cost_ratios")] = ratios
        found[("analyze", "cost_ratios")] = ratios
    if samples and precision:
        raise UsageError(
            "--samples sets a fixed number of scenarios and --precision a variable "
            "one: give only one"
        )
    if samples:
        found |= {("sample", "n_per_condition"): samples, ("sample", "precision"): None}
    if precision:
        found[("sample", "precision")] = precision
    if replicates:
        found[("query", "n_replicates")] = replicates
    return found


def limits(
    max_cost_usd: float | None = None,
    max_requests: int | None = None,
    allow_unpriced: bool | None = None,
    use_batches: bool | None = None,
    runner: str | None = None,
    cluster: str | None = None,
    n_workers: int | None = None,
) -> dict[str, Any]:
    """Return the limits of one run that are given, by key of `ask`."""
    given = {
        "max_cost_usd": max_cost_usd,
        "max_requests": max_requests,
        "allow_unpriced": allow_unpriced or None,
        "use_batches": use_batches,
        "runner": runner,
        "cluster": cluster,
        "n_workers": n_workers,
    }
    return {key: value for key, value in given.items() if value is not None}


def planned(
    asks_again: bool = False, dry_run: bool = False, root: Path = Path()
) -> tuple[Evaluation, str | None]:
    """Return the evaluation of params.yaml, and its first stage that would run.

    Parameters
    ----------
    asks_again : bool
        Whether some stored answers are to be replaced.
    dry_run : bool
        Whether it ends before a model is asked.
    root : Path
        The project.

    Raises
    ------
    UsageError
        If dvc.yaml or params.yaml cannot be read.
    """

    def choose(addresses: list[str]) -> list[str]:
        chosen = [a for a in addresses if stage_name(a) not in FINE_TUNING]
        asking = [i for i, a in enumerate(chosen) if stage_name(a) in ASKING]
        return chosen[: asking[0]] if dry_run and asking else chosen

    addresses, outdated = first_outdated(choose, root)
    plan = Evaluation(addresses, asks_again)
    forced = next((a for a in addresses if plan.is_forced(a)), None)
    due = [address for address in (forced, outdated) if address]
    return plan, min(due, key=list(addresses).index, default=None)


def may_ask(first_due: str) -> bool:
    """Return whether a run that begins at a stage may ask a model: not if that is analyzed only."""
    after = ("validate_decisions", "analyze", "report", "track")
    return stage_name(first_due) not in after


def stage_name(address: str) -> str:
    """Return the name of a stage without its cell."""
    return address.partition("@")[0]


def check_models(params: Params, workspace: Workspace) -> None:
    """Check that the models of params.yaml can be asked: keys, endpoints, names.

    A model whose answers are all in the completion store needs none of them.

    Raises
    ------
    UsageError
        If a key is not in the environment.
    ProviderError
        If an endpoint does not answer, refuses the key or does not have the model.
    """
    cards = [load_card(model, layout.cards_folder(workspace.root)) for model in params.models]
    for model, error in check(cards, workspace).items():
        if not _is_answered(model, params, workspace):
            raise error


def _is_answered(model: str, params: Params, workspace: Workspace) -> bool:
    """Return whether the store has every answer of a model, as far as scenarios are drawn."""
    try:
        return predict_costs([model], params, workspace)[model].n_requests == 0
    except EscalometerError:  # no scenarios yet, or no such model
        return False


def check_context(params: Params, workspace: Workspace) -> None:
    """Check that the longest prompt fits into each model's context; needs the scenarios.

    Raises
    ------
    ProviderError
        If a prompt cannot fit, even at the fewest tokens that its text may have.
    """
    for domain in params.domains:
        try:
            cell = Cell(domain, params, workspace.root)
        except DataError:  # nothing is drawn yet: it is checked again before the first request
            continue
        n_characters = longest_dialogue(cell)
        for model in params.models:
            card = load_card(model, layout.cards_folder(workspace.root))
            n_answer = 2 * max(params.query.max_tokens, card.answer_tokens)
            least = int(n_characters / CHARACTERS[2]) + n_answer
            if least > card.context:
                raise _too_long(card, domain, n_characters, least)


def _too_long(card: ModelCard, domain: str, n_characters: int, least: int) -> ProviderError:
    return ProviderError(
        f"{card.id}: the longest dialogue of {domain} has {n_characters:,} characters, so at least "
        f"{least:,} tokens with its answers, and the context of models/{card.id}.yaml is "
        f"{card.context:,}. Use a model with a larger context, or correct `context` in the card"
    )


def forecasts(params: Params, workspace: Workspace) -> dict[str, Forecast] | None:
    """Return the forecast cost of the queries in params.yaml, by model.

    None for adaptive sampling, where the number of dialogues is not known in advance.
    """
    if params.sample.precision is not None:
        return None
    return predict_costs(params.models, params, workspace)


def cost_lines(
    params: Params, workspace: Workspace, found: Mapping[str, Forecast] | None
) -> list[str]:
    """Return the forecast cost of the queries in params.yaml, by model, for a reader.

    Parameters
    ----------
    params : Params
        Of the run.
    workspace : Workspace
        Of the run.
    found : mapping of str to Forecast, optional
        From `forecasts`.
    """
    if found is None:
        return [
            f"adaptive sampling until the threshold is ± {params.sample.precision:g}: the number "
            "of",
            "dialogues is not known in advance; --max-cost and --max-requests limit it",
        ]
    lines = []
    cap = workspace.asking(params).max_cost_usd
    for model, total in found.items():
        lines.append(f"{model}: {total.spell()}{f'; budget ${cap:g}' if cap else ''}")
        if cap and total.low_usd > cap:
            lines.append("warning: the estimate exceeds the budget: the run will stop early")
    return lines
