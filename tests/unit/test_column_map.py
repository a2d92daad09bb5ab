"""Names of columns: by a map, and as they are suggested."""

from __future__ import annotations

import pytest

from escalometer.errors import UsageError
from escalometer.recorded.column_map import asked_name, listed, names_by_map, suggestion
from escalometer.recorded.given_file import format_of, has_known_ending

KNOWN = ("model", "label", "prediction")


def test_a_map_gives_new_names():
    there = ["model", "outcome", "prediction"]
    assert names_by_map("d.csv", there, {"label": "outcome"}, KNOWN) == {"outcome": "label"}
    assert names_by_map("d.csv", there, {}, KNOWN) == {}
    assert names_by_map("d.csv", there, {"model": "model"}, KNOWN) == {}


def test_names_can_be_swapped():
    there = ["model", "label", "prediction"]
    swapped = {"label": "prediction", "prediction": "label"}
    assert names_by_map("d.csv", there, swapped, KNOWN) == swapped


def test_a_name_that_is_taken_is_freed():
    there = ["label", "outcome"]
    expected = {"outcome": "label", "label": "label (not read)"}
    assert names_by_map("d.csv", there, {"label": "outcome"}, KNOWN) == expected


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"labels": "a"}, "unknown column 'labels'. Did you mean 'label'?"),
        ({"label": "outcom"}, "d.csv has no column 'outcom'. Did you mean 'outcome'?"),
        ({"label": "outcome", "prediction": "outcome"}, "label and prediction cannot both be the"),
    ],
)
def test_a_map_that_does_not_fit_shows_the_columns(mapping, said):
    with pytest.raises(UsageError) as refused:
        names_by_map("d.csv", ["model", "outcome"], mapping, KNOWN)
    assert said in str(refused.value)
    assert str(refused.value).endswith("d.csv has: model, outcome.")


def test_columns_that_may_be_meant():
    assert suggestion("label", ["id", "Ground Truth"]) == "Ground Truth"
    assert suggestion("escalate", ["Escalated"]) == "Escalated"
    assert suggestion("domain", ["domains", "x"]) == "domains"
    assert suggestion("condition", ["id", "x"]) is None


def test_names_in_messages():
    assert asked_name("label", {"label": "outcome"}) == "label ('outcome' in the file)"
    assert asked_name("label", {}) == "label"
    assert listed([str(i) for i in range(41)]).endswith("38, 39 and more")


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"PAR1\x00", "parquet"),
        (b'\xef\xbb\xbf \n{"model": 1}', "jsonl"),
        (b"[1]", "jsonl"),
        (b"model,label\n", "csv"),
        (b'"model","label"\n', "csv"),
    ],
)
def test_a_format_is_known_by_its_content(start, kind):
    assert format_of(start) == kind


def test_endings_of_files_of_decisions():
    for name in ("d.csv", "D.PARQUET", "a.b.jsonl", "d.csv.gz", "d.jsonl.GZ"):
        assert has_known_ending(name)
    for name in ("gpt-5-mini", "Qwen3.5-4B", "csv", "d.gz", "d.parquet.gz", "d.csv.zip"):
        assert not has_known_ending(name)
