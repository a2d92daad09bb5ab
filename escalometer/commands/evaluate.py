"""`escalometer evaluate`: models asked, analyzed and reported by the flow of that name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from escalometer import layout
from escalometer.commands import Place
from escalometer.commands._flows import run_flow
from escalometer.commands._options import names, outcomes, ratios
from escalometer.errors import BudgetError, UsageError, unknown_name


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--domains", callback=names, metavar="D,..", help="Domains to evaluate on.")
@click.option("--interventions", callback=names, metavar="I,..", help="What each dialogue varies.")
@click.option("--cost-ratios", callback=ratios, metavar="R,..", help="R, stated and scored.")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Scenarios a condition.")
@click.option(
    "--precision",
    type=click.FloatRange(min=0, max=0.5, min_open=True, max_open=True),
    metavar="W",
    help="In place of --samples: ask until the threshold's 95 % interval is ± W, such as 0.02.",
)
@click.option("--replicates", type=click.IntRange(min=1), metavar="N", help="Repeats of each.")
@click.option(
    "--max-cost", type=click.FloatRange(min=0, min_open=True), metavar="USD", help="Most to spend."
)
@click.option("--max-requests", type=click.IntRange(min=1), metavar="N", help="Most to ask.")
@click.option("--allow-unpriced", is_flag=True, help="Ask models whose price nobody knows.")
@click.option("--batch/--no-batch", default=None, help="Ask by the server's batches: half price.")
@click.option("--retry", metavar="S,..", help="Ask again what ended so: refused,error,unparsed,…")
@click.option("--dry-run", is_flag=True, help="Say what it would cost, and ask nothing.")
@click.pass_obj
def evaluate(
    workspace: Place,
    models: tuple[str, ...],
    domains: list[str] | None,
    interventions: list[str] | None,
    cost_ratios: list[float] | None,
    samples: int | None,
    precision: float | None,
    replicates: int | None,
    max_cost: float | None,
    max_requests: int | None,
    allow_unpriced: bool,
    batch: bool | None,
    retry: str | None,
    dry_run: bool,
) -> None:
    """Ask models, analyze their decisions, write the report and print each profile.

    MODEL is the name of a card in models/. What is given here is written into params.yaml, so
    that `dvc repro` gives the same; what is not given stays as params.yaml has it. Answers that
    the completion store has are not asked for again. `inspect/PROVIDER/MODEL` is any model that
    inspect_ai supports. Before the first request it says what the run will cost; a run that
    reaches --max-cost or --max-requests ends with 6 and keeps everything.
    """
    from escalometer.analysis.decisions import is_unfinished
    from escalometer.cases import catalog
    from escalometer.config import edit_params, load_card, load_params
    from escalometer.dialogue import interventions as all_interventions
    from escalometer.dialogue.asking import check_price
    from escalometer.documents import Profile
    from escalometer.documents.document import read_document
    from escalometer.operations.model_cards import card_named
    from escalometer.reporting.profile_text import print_profile

    params = load_params()
    models = tuple(card_named(model) for model in models)
    outcomes(retry or "")
    for name in domains or params.domains:
        catalog.load(name)
    for name in interventions or params.query.interventions:
        if name not in all_interventions.names():
            raise unknown_name("intervention", name, all_interventions.names())
    changes: dict[tuple[str, ...], Any] = {}
    if list(models) != list(params.models):
        changes[("models",)] = list(models)
    if domains:
        changes[("domains",)] = domains
    if interventions:
        changes[("query", "interventions")] = interventions
    if cost_ratios:
        changes[("query", "cost_ratios")] = cost_ratios
        changes[("analyze", "cost_ratios")] = cost_ratios
    if samples and precision:
        raise UsageError("--samples fixes how many are asked, --precision lets it vary: give one")
    if samples:
        changes |= {("sample", "n_per_condition"): samples, ("sample", "precision"): None}
    if precision:
        changes[("sample", "precision")] = precision
    asking = {
        "n_replicates": ("query", replicates),
        "max_cost_usd": ("ask", max_cost),
        "max_requests": ("ask", max_requests),
        "allow_unpriced": ("ask", allow_unpriced or None),
        "use_batches": ("ask", batch),
    }
    changes |= {(part, key): value for key, (part, value) in asking.items() if value is not None}
    for model in models:
        if not (allow_unpriced or params.ask.allow_unpriced):
            check_price(load_card(model), params)
    if changes:
        params = edit_params(changes)
        changed = ", ".join(".".join(keys) for keys in changes)
        click.echo(f"params.yaml: set {changed}", err=True)
    _run_flow(workspace().secrets, retry, dry_run)
    if dry_run:
        return
    for model in models:
        profile = read_document(Profile, layout.profile_file(model))
        print_profile(profile, sys.stdout, params.analyze.headline_ratio)
    report_path = layout.report_file().resolve()
    click.echo(f"\nReport: {report_path}\nRuns:   make ui (MLflow in the browser)")
    if any(is_unfinished(model) for model in models):
        raise BudgetError(
            "budget reached before the precision was: everything answered is kept and analyzed; "
            "run the same command with a larger --max-cost or --max-requests to go on"
        )


def _run_flow(environment: Mapping[str, str], retry: str | None, dry_run: bool) -> None:
    """Run flows/evaluate.py and carry its exit code on."""
    again = {"ESCALOMETER_RETRY": retry} if retry else {}
    flags = [*(["--ask-again"] if retry else []), *(["--dry-run"] if dry_run else [])]
    run_flow("evaluate", flags, {**environment, **again}, kept="what was answered")
