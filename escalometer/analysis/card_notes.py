"""Notes on a profile that follow from the model's card: form of the questions, and terms."""

from __future__ import annotations

from pathlib import Path

from escalometer import layout
from escalometer.config import ModelCard, load_card, model_names
from escalometer.documents.profile import TERMS

#: Note on the profile of a decision model.
TYPED = (
    "Decision model: each turn is a separate typed question without an explanation, and turn 2 "
    "states the prediction again, as in the intervention isolated. Stated confidence is the "
    "confidence that the endpoint reports."
)


def card_notes(model: str, root: Path = Path()) -> tuple[str, ...]:
    """Return the notes that follow from the card of `model`; none where there is no card."""
    folder = layout.cards_folder(root)
    return notes_of(load_card(model, folder)) if model in model_names(folder) else ()


def notes_of(card: ModelCard) -> tuple[str, ...]:
    """Return the notes that follow from a card."""
    notes = []
    if card.endpoint is not None and card.endpoint.decision_form is not None:
        notes.append(TYPED)
    if card.terms is not None:
        action = " Do not publish these results." if card.terms.forbids_publishing else ""
        notes.append(
            f"{TERMS}{card.terms.text}{action} Source: {card.terms.source}, read on "
            f"{card.terms.as_of}."
        )
    return tuple(notes)
