"""Configuration says what is wrong with it, and where."""

from __future__ import annotations

import shutil

import pytest

from escalometer.config import edit_params, load_card, load_params
from escalometer.errors import UsageError
from tests.conftest import ROOT


@pytest.fixture
def params_file(tmp_path):
    return shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")


def test_the_projects_own_files_are_valid():
    params = load_params(ROOT / "params.yaml")
    for model in params.models:
        assert load_card(model, ROOT / "models").id == model


def test_a_misspelt_key_is_named_with_its_neighbours(params_file):
    text = params_file.read_text("utf-8").replace("n_per_condition", "n_per_conditon")
    params_file.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"sample\.n_per_conditon.*'n_per_condition'.*train_share"):
        load_params(params_file)


@pytest.mark.parametrize(
    ("line", "broken", "said"),
    [
        ("cost_ratios: [4] ", "cost_ratios: [0.5] ", "cost_ratios"),
        ("signal_share: 0.5", "signal_share: 0.9", "be below 1"),
        ("framings: [ratio]", "framings: [rato]", "framings"),
        ("seed: 20260408", "seed: -1", "seed"),
        ("models: [smoll", "models: [../smoll", "models"),
        ("models: [", "models: {", "YAML"),
    ],
)
def test_a_value_out_of_range_is_named(params_file, line, broken, said):
    text = params_file.read_text("utf-8")
    assert line in text
    params_file.write_text(text.replace(line, broken), "utf-8")
    with pytest.raises(UsageError, match=said):
        load_params(params_file)


def test_an_edit_keeps_comments_and_the_rest(params_file):
    before = params_file.read_text("utf-8")
    edit_params({("sample", "n_per_condition"): 9, ("query", "cost_ratios"): [4, 10]}, params_file)
    after = params_file.read_text("utf-8")
    changed = [
        (old, new)
        for old, new in zip(before.splitlines(), after.splitlines(), strict=True)
        if old != new
    ]
    assert [new.split("#")[0].strip() for _, new in changed] == [
        "n_per_condition: 9",
        "cost_ratios: [4, 10]",
    ]
    assert after.count("#") == before.count("#")


def test_an_edit_that_is_not_allowed_changes_nothing(params_file):
    before = params_file.read_text("utf-8")
    with pytest.raises(UsageError, match=r"params\.yaml: sample\.n_per_condition"):
        edit_params({("sample", "n_per_condition"): 0}, params_file)
    assert params_file.read_text("utf-8") == before
    assert [path.name for path in params_file.parent.iterdir()] == ["params.yaml"]


def test_an_unknown_model_lists_those_that_exist():
    with pytest.raises(
        UsageError, match=r"smollm2-135m-instruct.*There are: .*smollm2-135m-instruct"
    ):
        load_card("smolm2-135m-instruct", ROOT / "models")
