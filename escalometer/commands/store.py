"""`escalometer store`: missing answers of the completion store, and drift of models."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from escalometer.commands import Place
from escalometer.errors import ProviderError


@click.group()
def store() -> None:
    """Explain missing answers of the completion store, and detect drift of models."""


@store.command("explain")
@click.argument("model")
@click.argument("domain")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def store_explain(workspace: Place, model: str, domain: str, as_json: bool) -> None:
    """Explain which part of the key differs for requests of MODEL on DOMAIN that are not stored.

    A key contains everything that determines an answer: provider, address, model, revision,
    messages, all parameters, replicate. Each missing request is compared with the most similar
    stored one.
    """
    from escalometer.config import load_params
    from escalometer.operations import store as stage_store

    found = stage_store.explain(model, domain, load_params(), workspace())
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    click.echo(
        f"{model} on {domain}: {found['n_requests']} requests, {found['n_stored']} answers are in "
        f"{found['store']}, {found['n_missing']} are known to be missing"
    )
    if found["n_explained"]:
        click.echo(f"compared with the nearest stored request ({found['n_explained']} requests):")
    for reason in found["reasons"]:
        click.echo(f"  {reason['n']} × {reason['why']}")


@store.command("canary")
@click.argument("model")
@click.option(
    "--n",
    type=click.IntRange(min=1),
    help="Prompts of a new panel; canary.n_prompts in params.yaml by default.",
)
@click.option("--again", is_flag=True, help="Look although there was a look today, or drift.")
@click.option("--restart", is_flag=True, help="Begin a new panel with a new baseline.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def store_canary(
    workspace: Place, model: str, n: int | None, again: bool, restart: bool, as_json: bool
) -> None:
    """Ask MODEL a fixed panel of stored prompts again, and test for drift.

    A hosted model can change under the same name. The first call measures the model's own noise:
    it asks every prompt of the panel several times. Each later call, at most one a day, asks every
    prompt once. Drift is reported when the evidence of all looks reaches its limit; the
    probability of a false alarm is at most canary.alpha (5%) in a year of daily looks. Answers are
    paid for, and none is written to the completion store.

    Drift is no failure: the exit code is 0, and the model should be evaluated again. Exit code 5
    if the model cannot be asked, or answers fewer than half of the prompts.

    \b
    Example:
      escalometer store canary gpt-5-mini
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import load_params
    from escalometer.operations import canary
    from escalometer.reporting.canary_text import canary_lines

    now = datetime.now(UTC)
    found = canary.look(model, load_params(), workspace(), now, restart, again=again, n_prompts=n)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        for line in canary_lines(found):
            click.echo(line)
    if found.status == "not enough answers":
        raise ProviderError(
            f"{model} answered {found.n_answered} of {found.n_prompts} prompts: the look does not "
            "count. Run the same command later."
        )
