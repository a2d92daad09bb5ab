"""The base of all sections of users' files: frozen, and strict about its keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Share = Annotated[float, Field(gt=0, lt=1)]
CostRatio = Annotated[float, Field(gt=1, le=1_000_000)]


class Section(BaseModel):
    """A section of a user's file: frozen, with unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
