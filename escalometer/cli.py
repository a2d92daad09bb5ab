"""The command line: the only reader of arguments and the environment."""

from __future__ import annotations

import json
import os
import sys
from datetime import date
from pathlib import Path
from typing import Any

import click

from escalometer import __version__, layout
from escalometer.commands import (
    compare,
    data,
    domains,
    gate,
    import_decisions,
    models,
    power,
    store,
    train,
)
from escalometer.commands._flows import run_flow
from escalometer.commands._options import names, ratios
from escalometer.errors import BudgetError, EscalometerError, Interrupted, UsageError, unknown_name
from escalometer.layout import PIPELINE

#: The stages: what the keys of a cell are, and what `run` takes after them.
STAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ingest": (("domain",), ("root",)),
    "validate": (("tables",), ("params", "root")),
    "sample": (("domain",), ("params", "root")),
    "design": (("model",), ("params", "workspace")),
    "query": (("model", "domain"), ("params", "workspace")),
    "analyze": (("model",), ("params", "root")),
    "report": ((), ("params", "root")),
    "track": (("model",), ("params", "root", "tracking")),
    "targets": (("adapter",), ("params", "workspace")),
    "train": (("adapter",), ("params", "workspace", "tracking")),
    "seal": (("adapter",), ("root",)),
    "probe": (("adapter",), ("params", "workspace")),
}


def workspace() -> Any:
    """Return where things are on this machine, as the environment says."""
    from escalometer.config import Workspace

    root = Path.cwd()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Workspace(
        root=root,
        cache=Path(os.environ.get("ESCALOMETER_CACHE") or caches / "escalometer"),
        store=Path(os.environ.get("ESCALOMETER_STORE") or layout.store_file(root)),
        secrets=os.environ,
        # Stages of one run share a budget; without a name, those that one process started.
        run=os.environ.get("ESCALOMETER_RUN") or f"process-{os.getppid()}-{date.today()}",
        retry=frozenset(_outcomes(os.environ.get("ESCALOMETER_RETRY", ""))),
    )


def _outcomes(value: str) -> list[str]:
    from escalometer.dialogue.elicitation.rows import OUTCOMES

    found = [name.strip() for name in value.split(",") if name.strip()]
    for name in found:
        if name not in OUTCOMES:
            raise unknown_name("outcome", name, OUTCOMES)
    return found


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done · 1 gate failed · 2 gate inconclusive · 3 wrong usage or "
    "configuration · 4 bad data · 5 model unavailable · 6 budget reached · 130 interrupted.",
)
@click.version_option(__version__, prog_name="escalometer")
@click.pass_context
def cli(context: click.Context) -> None:
    """Measure where a language model acts, and where it escalates to a person.

    A first look: `escalometer evaluate smollm2-135m-instruct`, then
    `escalometer profile smollm2-135m-instruct`. Run it from the project's root: params.yaml says
    what is asked, models/ which models there are.
    """
    context.obj = workspace


@cli.command()
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
def evaluate(
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
    from escalometer.operations.model_cards import card_named
    from escalometer.runtime.files import read_json

    params = load_params()
    models = tuple(card_named(model) for model in models)
    _outcomes(retry or "")
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
        said = ", ".join(".".join(keys) for keys in changes)
        click.echo(f"params.yaml: set {said}", err=True)
    _run_flow(retry, dry_run)
    if dry_run:
        return
    for model in models:
        _print_profile(read_json(layout.profile_file(model)))
    report_path = layout.report_file().resolve()
    click.echo(f"\nReport: {report_path}\nRuns:   make ui (MLflow in the browser)")
    if any(is_unfinished(model) for model in models):
        raise BudgetError(
            "budget reached before the precision was: everything answered is kept and analyzed; "
            "run the same command with a larger --max-cost or --max-requests to go on"
        )


def _run_flow(retry: str | None, dry_run: bool) -> None:
    """Run flows/evaluate.py and carry its exit code on."""
    again = {"ESCALOMETER_RETRY": retry} if retry else {}
    flags = [*(["--ask-again"] if retry else []), *(["--dry-run"] if dry_run else [])]
    run_flow("evaluate", flags, {**os.environ, **again}, kept="what was answered")


def _print_profile(profile: dict[str, Any]) -> None:
    from escalometer.config import load_params
    from escalometer.reporting.profile_text import print_profile

    print_profile(profile, sys.stdout, load_params().analyze.headline_ratio)


@cli.command()
@click.argument("model")
@click.option("--source", default=PIPELINE, show_default=True, help="Where decisions are from.")
@click.option("--domains", callback=names, metavar="D,..", help="Only these domains.")
@click.option("--pool-isolated", is_flag=True, help="Count isolated turns among the others.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def profile(
    model: str, source: str, domains: list[str] | None, pool_isolated: bool, as_json: bool
) -> None:
    """Print what is known of MODEL: threshold, idea of itself, accuracy, statuses, cost."""
    from escalometer.analysis.decisions import load_decisions, load_design
    from escalometer.analysis.profile import build_profile
    from escalometer.cases import catalog
    from escalometer.config import load_card, load_params

    params = load_params()
    if source != PIPELINE:
        from escalometer.operations import recorded_sources

        made = recorded_sources.profile(model, source, params, domains, pool_isolated)
    else:
        load_card(model)
        for name in domains or ():
            catalog.load(name)
        decisions = load_decisions(model, domains or params.domains, Path())
        design = None if domains else load_design(model)
        made = build_profile(decisions, model, source, params, domains, design, pool_isolated)
    if as_json:
        click.echo(json.dumps(made, allow_nan=False, indent=2))
    else:
        _print_profile(made)


@cli.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@click.option("--source", default=PIPELINE, show_default=True, help="Where decisions are from.")
def report(out: Path | None, source: str) -> None:
    """Write the report, one page that opens without a network, and print its path."""
    from escalometer.config import load_params

    if source != PIPELINE:
        from escalometer.operations import recorded_sources

        path = recorded_sources.report(source, load_params(), Path(), out)
    else:
        from escalometer.stages import report as stage_report

        path = stage_report.run(load_params(), Path(), out)
    click.echo(str(path.resolve()))


_COMMANDS = (
    compare.compare,
    data.data,
    domains.domains,
    gate.gate,
    import_decisions.import_file,
    models.models,
    power.power,
    store.store,
    train.train,
)
for _commands in _COMMANDS:
    cli.add_command(_commands)


@cli.command()
@click.argument("name", type=click.Choice(STAGES))
@click.option("--cell", default="", metavar="KEYS", help="What the stage is for: MODEL,DOMAIN.")
def stage(name: str, cell: str) -> None:
    """Run one stage of the pipeline: what dvc.yaml calls. `dvc repro` runs them all."""
    import importlib

    from escalometer.config import load_params
    from escalometer.runtime.interruption import end_with_parent

    end_with_parent()
    params, place = load_params(), workspace()
    keys = cell.split(",") if cell else []
    wanted, takes = STAGES[name]
    if len(keys) != len(wanted):
        needs = ",".join(wanted) or "nothing"
        raise UsageError(f"stage {name} takes {needs} as --cell, not {cell!r}")
    given = {
        "params": params,
        "root": place.root,
        "workspace": place,
        "tracking": os.environ.get("MLFLOW_TRACKING_URI"),
    }
    module = importlib.import_module(f"escalometer.stages.{name}")
    module.run(*keys, *(given[what] for what in takes))


def main() -> None:
    """Run the command line; errors meant for the user end in a message and their exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted; what was answered is kept", err=True)
        code = Interrupted.exit_code
    except click.ClickException as error:
        error.show()
        code = UsageError.exit_code
    except EscalometerError as error:
        from escalometer.documents.wording import visible

        # A message may hold what stands in somebody's file, terminal escapes and all.
        click.echo(f"error: {visible(error)}", err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        click.echo("interrupted; what was answered is kept: run this again to go on", err=True)
        code = Interrupted.exit_code
    sys.exit(code if isinstance(code, int) else 0)
