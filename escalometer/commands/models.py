"""`escalometer models`: list model cards, add one, fetch weights."""

from __future__ import annotations

import click

from escalometer.commands import Place
from escalometer.errors import UsageError


@click.group()
def models() -> None:
    """Model cards: what can be evaluated."""


@models.command("list")
def models_list() -> None:
    """Print the models that there are cards of."""
    from escalometer.config import load_card, model_names

    for name in model_names():
        card = load_card(name)
        click.echo(f"{name}\t{card.provider}\t{card.licence}\t{card.title}")


@models.command("fetch")
@click.argument("model")
@click.pass_obj
def models_fetch(workspace: Place, model: str) -> None:
    """Fetch MODEL's weights now, rather than at its first request, and print where they are."""
    from escalometer.config import load_card
    from escalometer.dialogue.providers.local import weights

    card = load_card(model)
    if card.provider != "local":
        raise UsageError(f"{model} does not run on this machine: there is nothing to fetch")
    click.echo(str(weights.folder(card, workspace().cache)))


@models.command("add")
@click.argument("model")
@click.option("--name", metavar="ID", help="The card's id; made from MODEL by default.")
def models_add(model: str, name: str | None) -> None:
    """Write a card for MODEL and print its file.

    MODEL is inspect/PROVIDER/MODEL, OWNER/NAME@COMMIT on the Hugging Face hub, a folder of
    safetensors, or the address of an OpenAI-compatible server with the model's name:
    http://127.0.0.1:8080/v1#my-model.
    """
    from escalometer.operations.model_cards import add_card

    click.echo(str(add_card(model, name=name)))
