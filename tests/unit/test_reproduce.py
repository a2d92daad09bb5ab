"""`make reproduce`: the paper's design for models that can be asked, never without a cap."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from escalometer.config import load_params
from escalometer.errors import UsageError
from tests.conftest import ROOT
from tools import reproduce


@pytest.fixture
def commands(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that were run in place of programs, in a project without keys."""
    monkeypatch.chdir(project)
    for name in ("OPENAI_API_KEY", "TOGETHER_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    found: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        found.append(command[1:])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(reproduce.subprocess, "run", run)
    return found


def test_models_are_those_whose_cards_say_so():
    said = "# Study: one of its thirteen models"
    cards = (ROOT / "models").glob("*.yaml")
    named = sorted(card.stem for card in cards if card.read_text("utf-8").startswith(said))
    assert sorted(reproduce.MODELS) == named
    assert len(named) == 13


def test_without_a_cap_only_the_forecast_is_made(commands, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with pytest.raises(UsageError, match="needs a cap"):
        reproduce.reproduce([], None)
    (command,) = commands
    assert command[:3] == ["evaluate", "gpt-5-mini", "gpt-5-nano"]
    assert command[-1] == "--dry-run"


def test_with_a_cap_the_forecast_comes_first(commands, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert reproduce.reproduce([], 20) == 0
    forecast, run = commands
    assert forecast[-1] == "--dry-run"
    assert run == [*forecast[:-1], "--max-cost", "20"]
    said = capsys.readouterr().err
    assert "left out: claude-opus-4-7: ANTHROPIC_API_KEY is not set" in said
    assert "left out: hotel_bookings: no data" in said
    assert "x" not in said.split()  # no key
    params = load_params()
    assert params.sample.n_per_condition == 250
    assert params.query.cost_ratios == (2, 4, 8, 10, 20, 50)
    assert params.query.framings == ("ratio", "dollars", "words", "plain")
    assert not params.query.force_answer


def test_a_failed_forecast_ends_it(commands, monkeypatch):
    def fail(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 5)

    monkeypatch.setattr(reproduce.subprocess, "run", fail)
    assert reproduce.reproduce(["tiny"], 20) == 5
    assert len(commands) == 1


def test_without_keys_and_names_there_is_nothing_to_run(commands, project):
    before = yaml.safe_load((project / "params.yaml").read_text("utf-8"))
    with pytest.raises(UsageError, match="no model of the paper can be asked"):
        reproduce.reproduce([], 20)
    assert commands == []
    assert yaml.safe_load((project / "params.yaml").read_text("utf-8")) == before
