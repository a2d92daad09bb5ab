"""`escalometer store`: missing answers of the completion store, and changed models."""

from __future__ import annotations

import json

import click

from escalometer.commands import Place


@click.group()
def store() -> None:
    """Look into the completion store: what is missing and why, what has changed."""


@store.command("explain")
@click.argument("model")
@click.argument("domain")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def store_explain(workspace: Place, model: str, domain: str, as_json: bool) -> None:
    """Say why requests of MODEL on DOMAIN are not in the store: which part of the key differs.

    Everything that determines an answer is in its key: provider, address, model, revision,
    messages, all parameters, replicate. Each request that is not there is compared with the kept
    one that is most like it.
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
        click.echo(f"compared with the nearest kept one ({found['n_explained']} requests):")
    for reason in found["reasons"]:
        click.echo(f"  {reason['n']} × {reason['why']}")


@store.command("canary")
@click.argument("model")
@click.option("--n", default=20, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def store_canary(workspace: Place, model: str, n: int, as_json: bool) -> None:
    """Ask MODEL again what it has answered, past the store, and say what has changed.

    A hosted model can change under its name. It asks (and pays for) N answers, the same ones each
    time, and writes none of them to the store.
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
        click.echo(f"answered by: {', '.join(found['resolved_models'])}")
