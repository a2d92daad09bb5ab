"""The summary of a profile: at most 25 lines, with every headline number and its interval."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from escalometer.analysis.profile import build_profile
from escalometer.config import AnalyzeParams, Params, load_params
from escalometer.documents import Profile
from escalometer.operations import import_decisions, recorded_sources
from escalometer.reporting.curve_figure import escalation_curve_svg
from escalometer.reporting.headline_variant import headline_variant
from escalometer.reporting.profile_text import profile_text
from escalometer.reporting.summary_text import summary_text
from tests.conftest import ROOT
from tests.releases import DOMAINS, release, table
from tests.unit.example_profiles import fit, full_profile, interval, small_profile, typed

_STATED = {"intervention": "cost_framing", "cost_ratio": 4.0, "framing": "ratio"}
_PARAMS = Params(seed=1, models=("m",), domains=DOMAINS, analyze=AnalyzeParams(n_bootstrap=100))


def _profile(**how: Any) -> Profile:
    return build_profile(table(release("m", **how)), "m", "here", _PARAMS)


PROFILES = {
    "full": lambda: typed(full_profile()),
    "small": lambda: typed(small_profile()),
    "rational": lambda: _profile(n=60),
    "rising": lambda: _profile(n=60, width=-0.04),
    "few and unanswered": lambda: _profile(n=3, unanswered=0.4),
    "without a baseline": lambda: _profile(n=60, **_STATED),
    "nothing readable": lambda: _profile(n=2, unanswered=1.0),
}


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("width", [80, 100])
def test_a_summary_has_at_most_25_lines(name: str, width: int) -> None:
    lines = summary_text(PROFILES[name](), width=width).splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= width
    assert not any(line.endswith("…") for line in lines)  # nothing is cut off


@pytest.mark.parametrize("width", [80, 100])
def test_every_headline_number_is_shown_with_its_interval(width: int) -> None:
    words = " ".join(summary_text(typed(full_profile()), width=width).split())
    for shown in (
        "Predictive accuracy 64.2% [61.0, 67.0]",
        "Implicit threshold 62.0% [58.0, 66.0] optimal: τ* = 75%",
        "Self-estimated accuracy 74.0% [69.0, 80.0]",
        "always escalate 1.00, always implement 1.20",
        "All numbers: --full",
    ):
        assert shown in words


def test_the_threshold_of_an_adaptive_design_is_the_one_that_is_stated() -> None:
    values = full_profile()
    adaptive = fit(interval(0.81, 0.79, 0.83), None, "ok")
    values["implicit_threshold"]["adaptive"] = adaptive
    profile = typed(values)
    words = " ".join(summary_text(profile).split())
    assert "Implicit threshold: 81.0%; optimal at R = 4: 75%." in words
    assert "Implicit threshold 81.0% [79.0, 83.0]" in words
    assert "62.0%" not in words
    values["implicit_threshold"]["adaptive"] = adaptive | {"status": "unidentified"}
    words = " ".join(summary_text(typed(values)).split())
    assert "Threshold not identified: the escalation rate is not shown to decrease" in words


def test_without_a_baseline_the_numbers_are_of_the_variant_that_was_asked() -> None:
    words = " ".join(summary_text(_profile(n=60, **_STATED)).split())
    assert "Headline numbers: cost_framing (ratio), R = 4" in words
    assert "Implicit threshold under cost_framing (ratio): 7" in words
    assert "not scored" not in words


def test_without_a_baseline_the_headline_is_of_the_ratio_that_the_prompt_stated() -> None:
    for width, ratio in ((-0.04, 4.0), (0.04, 20.0)):
        rows = [
            row
            for asked in (2.0, 20.0, 4.0)
            for row in release(
                "m",
                n=60,
                intervention="cost_framing",
                framing="ratio",
                cost_ratio=asked,
                width=width if asked == 4 else 0.04,
            )
        ]
        profile = build_profile(table(rows), "m", "here", _PARAMS)
        arm = next(arm for arm in profile.arms if arm.cost_ratio == ratio)
        shown = headline_variant(profile, ratio)
        assert shown.fit == arm.implicit_threshold
        assert shown.key is not None and shown.key.cost_ratio == ratio
        text = " ".join(summary_text(profile, ratio).split())
        full = " ".join(profile_text(profile, ratio).split())
        if width < 0:
            why = "Threshold not identified under cost_framing (ratio): the escalation rate does"
            assert why in text and why in full
            assert "Implicit threshold — optimal" in text
        else:
            assert "Implicit threshold under cost_framing (ratio): 7" in text
            assert "Under cost_framing (ratio); the baseline was not evaluated." in full
        assert "Escalation rate by condition (cost_framing (ratio))" in full
        assert "cost_framing (ratio)" in escalation_curve_svg(profile, ratio).replace("\n", " ")


def test_forced_and_missing_answers_are_visible() -> None:
    profile = full_profile()
    profile["statuses"] |= {"forced": 72, "unparsed": 5}
    text = summary_text(typed(profile))
    assert "! 72 of 1,500 dialogues forced (marker appended)" in text
    assert "! 5 of 1,500 dialogues without a usable answer" in text


def test_real_models_have_a_summary_of_at_most_25_lines(recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "expectations", tmp_path / "expectations")
    params = load_params(ROOT / "params.yaml")
    file = recorded / "decisions.parquet"
    import_decisions.run(file, "recorded", tmp_path, replace=False, say=lambda _: None)
    for model in recorded_sources.models_of("recorded", tmp_path)[:3]:
        profile = recorded_sources.profile(model, "recorded", params, root=tmp_path)
        assert len(summary_text(profile).splitlines()) <= 25
