"""The base of all documents, and how they are written and read as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from escalometer.errors import DataError
from escalometer.runtime.files import read_json, write_json


class Document(BaseModel):
    """A document or a part of one: frozen, without unknown keys, NaN or infinities."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,  # every key is written
    )

    def as_json(self) -> dict[str, Any]:
        """Return the document as JSON has it: objects, lists, numbers, strings and nulls."""
        return self.model_dump(mode="json")


Kind = TypeVar("Kind", bound=Document)


def write_document(document: Document, path: Path) -> None:
    """Write a document as JSON at `path`, whole or not at all."""
    write_json(document.as_json(), path)


def read_document(kind: type[Kind], path: Path) -> Kind:
    """Return the document that is stored at `path`.

    Parameters
    ----------
    kind : type
        The model that it must satisfy, such as `Profile`.
    path : Path

    Raises
    ------
    DataError
        If the file is absent, not JSON, or does not satisfy the model.
    """
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} is not a {kind.__name__.lower()} of this version: {place}: {first['msg']}; "
            "run `dvc repro` to make it again"
        ) from error
