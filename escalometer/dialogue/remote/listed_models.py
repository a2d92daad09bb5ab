"""A model on a provider's list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class ListedModel:
    """A model as its provider lists it.

    Attributes
    ----------
    name : str
        The name on the server, as it came: it may hold anything.
    released : date, optional
        The day that the list states as that of its creation.
    retires : date, optional
        The day from which the provider no longer serves it.
    """

    name: str
    released: date | None = None
    retires: date | None = None
