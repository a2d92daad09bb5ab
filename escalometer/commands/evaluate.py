"""`escalometer evaluate`: models asked, analyzed and reported by the flow of that name."""

from __future__ import annotations

import sys

import click

from escalometer import layout
from escalometer.commands import Place
from escalometer.commands._flows import run_evaluation
from escalometer.commands._options import RUNNERS, NumberRange, names, outcomes, ratios, utc_time
from escalometer.errors import BudgetError, UsageError
from escalometer.resources import is_clone
from escalometer.runtime.extras import need

#: Parameters of the flow, in the order of `evaluation.changes`.
_PARAMETERS = (
    *("models", "domains", "interventions", "cost_ratios", "samples", "precision", "replicates"),
)

_MLFLOW = f"mlflow ui --backend-store-uri sqlite:///{layout.mlflow_file()}"


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--domains",
    callback=names,
    metavar="D,..",
    help="Domains to evaluate on; those of params.yaml by default.",
)
@click.option(
    "--interventions",
    callback=names,
    metavar="I,..",
    help="Interventions: variants of the dialogue, e.g. baseline,no_signal.",
)
@click.option(
    "--cost-ratios",
    callback=ratios,
    metavar="R,..",
    help="Cost ratios R: stated in prompts and used for scoring.",
)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Scenarios per condition.")
@click.option(
    "--precision",
    type=NumberRange(min=0, max=0.5, min_open=True, max_open=True),
    metavar="W",
    help="Instead of --samples: adaptive sampling until the 95% interval of the threshold is ± "
    "W, e.g. 0.02.",
)
@click.option(
    "--replicates", type=click.IntRange(min=1), metavar="N", help="Repetitions of each dialogue."
)
@click.option(
    "--max-cost",
    type=NumberRange(min=0, min_open=True),
    metavar="USD",
    help="Maximum cost of this run in US dollars; it stops with exit code 6 before exceeding it.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(min=1),
    metavar="N",
    help="Maximum number of requests of this run; it stops with exit code 6 before exceeding it.",
)
@click.option(
    "--allow-unpriced",
    is_flag=True,
    help="Allow models without a price in their card, in this run.",
)
@click.option(
    "--batch/--no-batch",
    default=None,
    help="Use the provider's batch API in this run: half the price, answers within a day.",
)
@click.option(
    "--runner",
    type=click.Choice(RUNNERS),
    help="Where several cells are asked at once in this run: processes of this machine, or a Dask "
    "or Ray cluster.",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Cluster for --runner dask or ray, e.g. tcp://host:8786; one is started here by default.",
)
@click.option(
    "--workers",
    "n_workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Cells that are asked at once in this run.",
)
@click.option(
    "--retry",
    metavar="S,..",
    help="Retry dialogues with these statuses, e.g. refused,error; or all.",
)
@click.option(
    "--retry-before",
    metavar="TIME",
    help="Retry only answers stored before this time (UTC), so that the same command resumes.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check the models, print the estimated cost and exit without asking them.",
)
@click.option("--timings", is_flag=True, help="Print where the time went, by stage.")
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
    runner: str | None,
    cluster: str | None,
    n_workers: int | None,
    retry: str | None,
    retry_before: str | None,
    dry_run: bool,
    timings: bool,
) -> None:
    """Evaluate models: request their decisions, analyze them, and write the report.

    MODEL is the name of a card in models/ (`escalometer models list`), or inspect/PROVIDER/MODEL
    for any model that inspect_ai supports. Prints the estimated cost before the first request,
    then a summary of each profile. Answers in the completion store are not requested again, so
    the same command resumes an interrupted run.

    MODEL and the options from --domains to --replicates are written to params.yaml, so that `dvc
    repro` reproduces the run; settings without an option keep their values in that file. The
    options from --max-cost to --workers hold for this run only and are not
    written: the section `ask` of params.yaml has those of all runs. A run that reaches --max-cost
    or --max-requests stops with exit code 6 and keeps its work.

    Before the first stage it is checked that each provider answers, accepts the key and has the
    model: exit code 3 for a missing key, 5 otherwise.

    \b
    Example:
      escalometer evaluate gpt-5-mini --samples 20 --max-cost 5
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.analysis.designs import is_unfinished
    from escalometer.config import load_card, load_params
    from escalometer.dialogue.asking import check_price
    from escalometer.documents import Profile
    from escalometer.documents.document import read_document
    from escalometer.operations import evaluation
    from escalometer.reporting.summary_text import print_summary
    from escalometer.runtime.files import read_json

    need("pipeline", "`escalometer evaluate`")
    outcomes(retry or "")
    if utc_time(retry_before or "") and not retry:
        raise UsageError("--retry-before needs --retry")
    settings = (domains, interventions, cost_ratios, samples, precision, replicates)
    changes = evaluation.changes(load_params(), models, *settings)
    limits = evaluation.limits(
        max_cost, max_requests, allow_unpriced, batch, runner, cluster, n_workers
    )
    place = workspace().with_limits(limits)
    if cluster and place.asking(load_params()).runner == "processes":
        raise UsageError("--cluster needs --runner dask or --runner ray")
    models = tuple(changes[("models",)])
    for model in models:
        check_price(load_card(model), place.asking(load_params()))
    given = dict(zip(_PARAMETERS, (models, *settings), strict=True)) | limits
    params = run_evaluation(changes, place, given, retry, dry_run, timings, retry_before)
    for domain in params.domains:
        file = layout.domain_file(domain)
        for warning in read_json(file).get("warnings", []) if file.exists() else []:
            click.echo(f"warning: {domain}: {warning}", err=True)
    if dry_run:
        return
    for model in models:
        profile = read_document(Profile, layout.profile_file(model))
        print_summary(profile, sys.stdout, params.analyze.headline_ratio)
        click.echo()
    report_path = layout.report_file().resolve()
    mlflow = "make ui" if is_clone() else _MLFLOW
    click.echo(f"Report: {report_path}\nRuns:   {mlflow} (MLflow in the browser)")
    if any(is_unfinished(model) for model in models):
        raise BudgetError(
            "the budget was reached before the precision: all answers are kept and analyzed. "
            "Run the same command with a larger --max-cost or --max-requests to resume"
        )
