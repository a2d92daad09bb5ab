"""`escalometer models`: list model cards, add one, look for new releases, fetch weights."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import click

from escalometer.commands import Place
from escalometer.errors import ProviderError, UsageError

if TYPE_CHECKING:
    from escalometer.operations.watch import Watched


@click.group()
def models() -> None:
    """Model cards: the models that can be evaluated."""


@models.command("list")
def models_list() -> None:
    """List the model cards: built in, your own, or your own in place of a built-in one."""
    from escalometer.config import card_origin, load_card, model_names

    for name in model_names():
        card = load_card(name)
        click.echo(f"{name}\t{card.provider}\t{card.licence}\t{card.title}\t{card_origin(name)}")


@models.command("fetch")
@click.argument("model")
@click.pass_obj
def models_fetch(workspace: Place, model: str) -> None:
    """Download the weights of MODEL now instead of at its first request, and print their folder."""
    from escalometer.config import load_card
    from escalometer.dialogue.weights import sources

    card = load_card(model)
    if card.source is None:
        raise UsageError(f"{model} does not run on this machine: there are no weights to fetch")
    click.echo(str(sources.folder(card, workspace().cache)))


@models.command("add")
@click.argument("model")
@click.option("--name", metavar="ID", help="Id of the card; derived from MODEL by default.")
def models_add(model: str, name: str | None) -> None:
    """Write a card for MODEL and print its file.

    MODEL is inspect/PROVIDER/MODEL, OWNER/NAME@COMMIT on the Hugging Face hub, a folder of
    safetensors, or the address of an OpenAI-compatible server with the model's name:
    http://127.0.0.1:8080/v1#my-model.
    """
    from escalometer.config import check_project
    from escalometer.operations.model_cards import add_card

    check_project()
    click.echo(str(add_card(model, name=name)))


@models.command("watch")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def models_watch(workspace: Place, as_json: bool) -> None:
    """Look for new releases on the lists of providers, and for models in use that end.

    Asks each provider whose key is in the environment for its list of models, by one request, and
    writes a card for each new name that matches a pattern of `watch` in params.yaml. A new card has
    no price; what was copied from the nearest card is marked by guessed_from. Also named are models
    in use that retire soon, that are no longer listed, and whose alias stood for several releases.

    Exit code 5 if a list could not be read; what the other lists have is written all the same.

    \b
    Example:
      escalometer models watch
      escalometer evaluate NEW --max-cost 5
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import load_params
    from escalometer.operations import watch

    params = load_params()
    found = watch.look(params, workspace(), date.today())
    if as_json:
        content = {name: getattr(found, name) for name in ("new", "notices", "ignored", "failed")}
        click.echo(json.dumps({**content, "n_listed": found.n_listed}, indent=2))
    else:
        _print_watched(found, params.watch.patterns)
    if found.failed:
        reasons = "; ".join(failure["reason"] for failure in found.failed)
        raise ProviderError(
            f"no list of models from {len(found.failed)} of the providers: {reasons}"
        )


def _print_watched(found: Watched, patterns: tuple[str, ...]) -> None:
    from escalometer.documents.wording import count, visible

    for new in found.new:
        click.echo(
            f"new: {new['model']}\t{new['card']}\tguessed from {new['guessed_from']}; no price"
        )
    for notice in found.notices:
        click.echo(f"{notice['kind']}: {visible(notice['text'])}")
    for ignored in found.ignored:
        click.echo(f"no card for {visible(ignored['name'])!r}: {ignored['reason']}", err=True)
    if not patterns:
        click.echo(
            "params.yaml has no watch.patterns, so no new model is looked for; "
            "e.g. patterns: [gpt-6*]",
            err=True,
        )
    if not found.new and not found.notices:
        click.echo(f"{count(found.n_listed)} models on the lists, nothing new")
