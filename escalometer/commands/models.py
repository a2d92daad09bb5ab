"""`escalometer models`: list model cards, add one, fetch weights."""

from __future__ import annotations

import click

from escalometer.commands import Place
from escalometer.errors import UsageError


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
    from escalometer.dialogue.providers.local import weights

    card = load_card(model)
    if card.provider != "local":
        raise UsageError(f"{model} does not run on this machine: there are no weights to fetch")
    click.echo(str(weights.folder(card, workspace().cache)))


@models.command("add")
@click.argument("model")
@click.option("--name", metavar="ID", help="Id of the card; derived from MODEL by default.")
def models_add(model: str, name: str | None) -> None:
    """Write a card for MODEL and print its file.

    MODEL is inspect/PROVIDER/MODEL, OWNER/NAME@COMMIT on the Hugging Face hub, a folder of
    safetensors, or the address of an OpenAI-compatible server with the model's name:
    http://127.0.0.1:8080/v1#my-model.
    """
    from escalometer.operations.model_cards import add_card

    click.echo(str(add_card(model, name=name)))
