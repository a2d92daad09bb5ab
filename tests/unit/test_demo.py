"""The demo's result as text, and its settings compared with the shipped params.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from escalometer.analysis.profile import build_profile
from escalometer.commands.demo import SETTINGS
from escalometer.config import AnalyzeParams, GateParams, Params, load_params
from escalometer.operations.compare import build_comparison
from escalometer.operations.gate import build_verdict
from escalometer.reporting.demo_text import Side, demo_text
from tests.conftest import ROOT
from tests.releases import release, table

_STATED = {"intervention": "cost_framing", "cost_ratio": 4.0, "framing": "ratio"}
_PARAMS = Params(
    seed=1,
    models=("plain", "trained"),
    domains=("movielens",),
    analyze=AnalyzeParams(n_bootstrap=200),
    gate=GateParams(intervention="cost_framing"),
)


def _text(base_width: float) -> str:
    """The demo's text: the base model escalates by `base_width`, the tuned one is rational."""
    decisions = table(
        release("plain", 40, 0.5, base_width, domains=("movielens",), noise=1.0, **_STATED),
        release("trained", 40, 0.75, 0.01, domains=("movielens",), **_STATED),
    )
    sides = []
    for name, model in (("base", "plain"), ("tuned", "trained")):
        profile = build_profile(decisions, model, "here", _PARAMS)
        verdict = build_verdict(decisions, model, "here", _PARAMS, _PARAMS.gate)
        sides.append(Side(name, profile, verdict))
    comparison, _ = build_comparison(decisions, "plain", "trained", "here", _PARAMS)
    return demo_text(sides, comparison, Path("/project/data/report/index.html"), ("one", "two"))


def test_the_result_is_short_and_contains_what_a_decision_needs() -> None:
    text = _text(base_width=-0.05)
    lines = text.splitlines()
    assert len(lines) <= 14
    assert max(map(len, lines)) <= 100
    assert "320 decisions each (movielens)" in lines[0]
    [base, tuned] = [line for line in lines if line.startswith("Gate ")]
    assert "FAIL: no threshold, escalation does not decrease with accuracy" in base
    assert "PASS" in tuned
    words = " ".join(text.split())
    assert "base: none; tuned: 7" in words
    assert "always a person 1.00" in words
    assert "base 0 of 320, tuned 0 of 320 answers lacked the marker" in words
    assert "/project/data/report/index.html" in words


def test_a_failed_rule_is_shown_with_its_limit() -> None:
    words = " ".join(_text(base_width=0.05).split())
    assert "limit 65" in words
    assert "to 85" in words


@pytest.mark.parametrize("path", SETTINGS, ids=".".join)
def test_params_yaml_ships_with_the_settings_of_the_demo(path: tuple[str, ...]) -> None:
    content = load_params(ROOT / "params.yaml").model_dump(mode="json")
    for key in path:
        content = content[key]
    assert content == SETTINGS[path]
