"""Calibration, figures and the comparison across models, from a complete profile."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from escalometer.reporting.confidence import external_words, reliability_svg
from escalometer.reporting.cost_figure import MAX_LINES, cost_caption, cost_curve_svg, cost_lines
from escalometer.reporting.curve_figure import escalation_curve_svg
from escalometer.reporting.model_ranking import across_models
from escalometer.reporting.profile_text import profile_text
from tests.unit.example_profiles import (
    FRAMED,
    VARIANT,
    curve_of,
    external,
    full_profile,
    interval,
    typed,
)
from tests.unit.report_pages import Page, written


@pytest.fixture
def profile() -> dict[str, Any]:
    return full_profile()


def flat_text(profile: dict[str, Any], **options: Any) -> str:
    return " ".join(profile_text(typed(profile), **options).split())


# ---------------------------------------------------------------- confidence


def test_confidence(profile: dict[str, Any], tmp_path: Path) -> None:
    text = flat_text(profile)
    for shown in (text, Page(written([profile], tmp_path / "a.html")).text):
        assert (
            "At R = 4 an external threshold on its stated confidence would cost 0.52 instead of "
            "0.63: the model's own escalation costs 0.11 [0.08, 0.14] more."
        ) in shown
    assert (
        "Stated confidence: mean 84.0%, correct in 77.0% of 160; calibration error 0.08 "
        "[0.03, 0.10], 0.02 expected from noise."
    ) in text
    profile |= {"calibration": [], "external_threshold": []}
    assert "Calibration of confidence" not in flat_text(profile)
    assert reliability_svg(typed(profile), "r-") == ""


def test_external_threshold_in_words(profile: dict[str, Any]) -> None:
    def words(**changes: Any) -> str:
        return external_words(typed(profile | {"external_threshold": [external(**changes)]}), 4.0)[
            0
        ]

    saves = {"estimate": -0.1, "low": -0.14, "high": -0.05}
    assert words(difference=saves).endswith(
        "the model's own escalation costs 0.10 [0.05, 0.14] less."
    )
    open_ = {"estimate": 0.02, "low": -0.01, "high": 0.05}
    assert words(difference=open_).endswith("no difference is shown (+0.02 [−0.01, 0.05]).")
    reason = {"cost_ratio": None, "reason": "too little"}
    for name in ("cost", "own_cost", "difference"):
        reason[name] = None
    assert words(**reason) == ("Stated confidence: no external threshold was fitted. Too little.")
    stated = {"intervention": "both", "is_cost_stated": True}
    assert "on its stated confidence (both, R = 4 stated) would" in words(**stated)
    other_ratio = profile | {"external_threshold": [external(cost_ratio=10.0)]}
    assert external_words(typed(other_ratio), 4.0) == []


# ---------------------------------------------------------------- figures


def test_figures_are_the_same_bytes_and_in_the_page(
    profile: dict[str, Any], tmp_path: Path
) -> None:
    assert cost_curve_svg(typed(profile), 4.0, "c-") == cost_curve_svg(typed(profile), 4.0, "c-")
    assert reliability_svg(typed(profile), "r-") == reliability_svg(typed(profile), "r-")
    page = written([profile, profile | {"model": "other"}], tmp_path / "a.html")
    assert page.count("<svg") == 6
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_cost_figure(profile: dict[str, Any]) -> None:
    svg = cost_curve_svg(typed(profile), 4.0, "c-")
    for words in (
        "always escalating",
        "always implementing",
        "optimal policy by condition",
        "R = 4 stated",
    ):
        assert words in svg
    assert "not drawn" not in cost_caption(typed(profile), 4.0)
    tens = [curve_of({**FRAMED, "cost_ratio": 10.0, "framing": f"f{i}"}, 0.1) for i in range(9)]
    profile["cost_curves"] = [curve_of(VARIANT, 0.1), *tens, curve_of(FRAMED, 0.1)]
    lines = cost_lines(typed(profile), 4.0)
    assert len(lines) == MAX_LINES
    assert lines[1].framing == "ratio"
    assert "5 more that state a cost are not drawn." in cost_caption(typed(profile), 4.0)


def test_the_band_of_the_line(profile: dict[str, Any]) -> None:
    assert "linear fit, 95% beyond these conditions" in escalation_curve_svg(typed(profile))
    for row in profile["curve"]:
        row |= {"clustered_low": None, "clustered_high": None}
    assert "beyond these conditions" not in escalation_curve_svg(typed(profile))


# ---------------------------------------------------------------- across models


def test_across_models(profile: dict[str, Any], tmp_path: Path) -> None:
    assert across_models([typed(profile)]) is None
    dearer = copy.deepcopy(profile) | {"model": "other"}
    dearer["recommendations"][0]["realized_cost"] = interval(0.8, 0.7, 0.9)
    found = across_models([typed(dearer), typed(profile)])
    assert found is not None
    first, second = found.rows
    assert first.model == "smollm2-135m-instruct"
    assert first.action == "cost_framing (ratio)"
    assert (first.cost, first.kept) == ("0.63 [0.60, 0.66]", "41%")
    assert first.verdict == "yes: the intervals do not overlap"
    assert second.model is None
    assert found.notes == []
    dearer["recommendations"][0]["realized_cost"] = interval(0.64, 0.6, 0.9)
    close = across_models([typed(dearer), typed(profile)])
    assert close is not None
    assert close.rows[0].verdict == "no: the intervals overlap"
    page = Page(written([profile, dearer], tmp_path / "a.html")).text
    assert "Recommendation across models" in page
    assert "always escalate" in page


def test_models_with_other_conditions_are_not_compared(
    profile: dict[str, Any], tmp_path: Path
) -> None:
    fewer = copy.deepcopy(profile) | {"model": "fewer"}
    for row in fewer["recommendations"]:
        row["conditions"] = row["conditions"][1:]
    found = across_models([typed(profile), typed(fewer)])
    assert found is not None
    assert found.rows == []
    (note,) = found.notes
    assert "Not compared, because their conditions differ" in note
    assert "fewer (3 conditions)" in note
    assert note in Page(written([profile, fewer], tmp_path / "a.html")).text
