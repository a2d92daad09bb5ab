"""Typed documents: validation, storage, and an up-to-date reference."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from escalometer import analysis, documents
from escalometer.documents import Document, Probes, ScoredVariant
from escalometer.documents.document import read_document, write_document
from escalometer.documents.interval import Interval, SimpleInterval
from escalometer.documents.wording import DASH, with_span
from escalometer.errors import DataError
from tests.conftest import ROOT
from tests.unit.grown_probes import grown_probes

SCORED: dict[str, Any] = {
    "intervention": "cost_framing", "reasoning_effort": None, "framing": "ratio",
    "is_thinking": False, "is_isolated": False, "has_signal": True, "cost_ratio": 4.0,
}  # fmt: skip


def _script() -> ModuleType:
    path = ROOT / "tools" / "write_documents.py"
    spec = importlib.util.spec_from_file_location("write_documents", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _models(base: type[BaseModel] = Document) -> list[type[BaseModel]]:
    return [one for model in base.__subclasses__() for one in (model, *_models(model))]


def test_the_reference_and_the_schemas_are_up_to_date() -> None:
    assert _script().stale() == [], "run `make docs`"


def test_every_field_has_a_description_and_every_model_a_docstring() -> None:
    for model in _models():
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
        assert model.__doc__ or model.__name__.startswith("_"), model.__name__


def test_the_schemas_name_all_keys_and_refuse_others() -> None:
    for page in _script().PAGES:
        schema = json.loads(_script().schema_of(page))
        for name, part in (("", schema), *schema["$defs"].items()):
            assert part["additionalProperties"] is False
            if not name.endswith("Params"):  # a section of params.yaml: its keys have defaults
                assert set(part["required"]) == set(part["properties"])


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"estimate": 0.5, "low": 0.4}, "Field required"),
        ({"estimate": 0.5, "low": 0.4, "high": 0.6, "highest": 1.0}, "Extra inputs"),
        ({"estimate": float("nan"), "low": 0.4, "high": 0.6}, "finite number"),
    ],
)
def test_a_document_refuses_unknown_keys_and_bad_values(
    numbers: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        SimpleInterval(**numbers)


def test_a_document_is_frozen() -> None:
    interval = SimpleInterval(estimate=0.5, low=0.4, high=0.6)
    with pytest.raises(ValidationError, match="frozen"):
        interval.low = 0.3  # type: ignore[misc]


def test_a_stored_document_is_read_back_unchanged(tmp_path: Path) -> None:
    probes = Probes.model_validate(grown_probes())
    write_document(probes, tmp_path / "probes.json")
    assert read_document(Probes, tmp_path / "probes.json") == probes


@pytest.mark.parametrize("content", ["{}", "[", '{"adapter": 1}'])
def test_an_invalid_stored_document_names_the_file_and_the_command(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "probes.json"
    path.write_text(content, "utf-8")
    with pytest.raises(DataError, match=r"probes\.json.*run `dvc repro`"):
        read_document(Probes, path)


def test_the_key_of_a_variant_is_defined_once() -> None:
    assert documents.VARIANT_KEY == (
        "intervention", "reasoning_effort", "cost_ratio", "framing", "is_thinking", "is_isolated",
        "has_signal",
    )  # fmt: skip
    assert ("model", *documents.VARIANT_KEY, *documents.CONDITION_KEY) == analysis.CURVE_KEY
    assert set(documents.SCORED_KEY) == {
        *documents.VARIANT_KEY, "is_cost_stated", "scored_against"
    }  # fmt: skip


@pytest.mark.parametrize(("is_stated", "ratio"), [(True, 4.0), (False, None)])
def test_a_scored_variant_has_the_cost_stated_in_its_prompt(
    is_stated: bool, ratio: float | None
) -> None:
    scored = ScoredVariant(**SCORED, is_cost_stated=is_stated)
    assert scored.variant.cost_ratio == ratio
    assert scored.variant.intervention == "cost_framing"


def test_intervals_of_every_kind_have_one_format() -> None:
    ends = {"estimate": 0.613, "low": 0.58, "high": 0.644}
    undefined = dict.fromkeys(Interval.model_fields)
    assert with_span(Interval(**{**undefined, **ends})) == "61.3% [58.0, 64.4]"
    assert with_span(SimpleInterval(**ends)) == "61.3% [58.0, 64.4]"
    assert with_span(Interval(**undefined)) == DASH
