"""`escalometer store`: missing answers of the completion store, and changed models."""

from __future__ import annotations

import json

import click

from escalometer.commands import Place


@click.group()
def store() -> None:
    """Explain missing answers of the completion store, and detect changed models."""


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
@click.option("--n", default=20, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def store_canary(workspace: Place, model: str, n: int, as_json: bool) -> None:
    """Request stored answers of MODEL again, and report changes.

    A hosted model can change under the same name. The command requests (and pays for) N answers,
    the same ones each time, and writes none of them to the store.
    """
    from escalometer.config import load_params
    from escalometer.operations import store as stage_store

    found = stage_store.canary(model, n, load_params(), workspace())
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    click.echo(
        f"{model}: of {found['n_asked']} answers, {found['n_same_text']} came back word for word, "
        f"{found['n_same_choice']} with the same choice, {found['n_other_choice']} with another "
        f"one, {found['n_unanswered']} not at all"
    )
    if found["resolved_models"]:
        click.echo(f"resolved to: {', '.join(found['resolved_models'])}")
