"""What later profiles have more than the first ones, and how it reads."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from escalometer.reporting.across import across_models
from escalometer.reporting.confidence import external_words, reliability_svg
from escalometer.reporting.costs import MAX_LINES, cost_caption, cost_curve_svg, cost_lines
from escalometer.reporting.figures import escalation_curve_svg
from escalometer.reporting.missing import UNDONE, kept_together, moved, moved_words, overlap_words
from escalometer.reporting.recommended import recommended, recommended_at
from escalometer.reporting.text import profile_text
from escalometer.reporting.wording import more, p_value, with_span
from tests.unit.test_reporting import (
    EXTRAPOLATED,
    HOSTILE,
    IDENTIFIED,
    NULL,
    UNIDENTIFIED,
    Page,
    interval,
    made_profile,
    written,
)

ARM: dict[str, Any] = {
    "intervention": "baseline",
    "reasoning_effort": None,
    "cost_ratio": None,
    "framing": None,
    "is_thinking": False,
    "is_isolated": False,
    "has_signal": True,
}
FRAMED = {**ARM, "intervention": "cost_framing", "framing": "ratio", "cost_ratio": 4.0}
ASKED = {**ARM, "intervention": "stated_confidence"}
NOBODY = dict.fromkeys(name for name in ARM if name != "cost_ratio")


def bounded(value: dict[str, Any], low: float | None, high: float | None) -> dict[str, Any]:
    return {**value, "bound_low": low, "bound_high": high}


def chosen(arm: dict[str, Any] | None, policy: str, cost: dict[str, Any]) -> dict[str, Any]:
    own = NOBODY if arm is None else {k: v for k, v in arm.items() if k != "cost_ratio"}
    stated = None if arm is None else arm["cost_ratio"] is not None
    return {
        **own,
        "is_cost_stated": stated,
        "policy": policy,
        "realized_cost": cost,
        "escalation_rate": {"always_escalate": 1.0, "always_implement": 0.0}.get(policy, 0.41),
        "n": 160,
    }


def recommendation(**changes: Any) -> dict[str, Any]:
    row = {
        "cost_ratio": 4.0,
        **chosen(FRAMED, "model", interval(0.63, 0.6, 0.66)),
        "next_best": chosen(None, "always_escalate", interval(1.0, 1.0, 1.0)),
        "gap": interval(0.37, 0.34, 0.4),
        "is_clear": True,
        "n_left_out": 0,
    }
    return row | changes


def curve_of(arm: dict[str, Any], slope: float) -> dict[str, Any]:
    ratios = [float(r) for r in range(1, 101)]
    return {
        **arm,
        "n": 160,
        "escalation_rate": 0.4,
        "cost_ratios": ratios,
        "realized_cost": [0.4 + slope * r for r in ratios],
        "always_implement_cost": [0.3 * r for r in ratios],
        "always_escalate_cost": [1.0] * 100,
        "optimal_cost": [min(1.0, 0.3 * r) for r in ratios],
    }


def grown_profile() -> dict[str, Any]:
    profile = made_profile()
    for row in profile["curve"]:
        row |= {"is_main": True, "fitted": 0.5, "clustered_low": 0.4, "clustered_high": 0.6}
    for row in profile["interventions"]:
        row |= {name: ARM[name] for name in ("is_thinking", "is_isolated", "has_signal")}
        row["is_cost_stated"] = row["framing"] is not None
    shared = {"escalation_rate": 0.4, "n_conditions": 4, "n": 80}
    for name, is_main, fit in (
        ("movielens", True, IDENTIFIED),
        ("hmda_mortgages", True, UNIDENTIFIED),
        ("moral_machine", False, EXTRAPOLATED),
    ):
        profile.setdefault("domains", []).append(
            {
                "domain": name,
                "is_main": is_main,
                **shared,
                "predictive_accuracy": interval(0.7, 0.66, 0.74),
                "implicit_threshold": {"linear": fit, "logit": fit},
                "self_estimated_accuracy": interval(1.0, 0.9, 1.0),
                "calibration_bias": interval(0.3, 0.2, 0.34),
            }
        )
    return profile | {
        "reasoning_effort": None,
        "is_thinking": False,
        "recommendations": [
            recommendation(),
            recommendation(
                cost_ratio=10.0, **chosen(None, "always_escalate", interval(1.0, 1.0, 1.0))
            ),
        ],
        "arms": [
            {**ARM, "n_conditions": 8, "n": 160, "implicit_threshold": IDENTIFIED},
            {**FRAMED, "n_conditions": 8, "n": 160, "implicit_threshold": UNIDENTIFIED},
        ],
        "differences": [
            {
                **FRAMED,
                "is_cost_stated": True,
                "scored_against": against,
                "is_paired": True,
                "n": 151,
                "n_reference": 151,
                "escalation_accuracy": interval(value, value - 0.04, value + 0.04),
                "realized_cost": interval(-0.28, -0.35, -0.2),
                "p_value": p,
                "p_corrected": p,
            }
            for against, value, p in (
                ("predictive_accuracy", 0.062, 0.00001),
                ("signal_accuracy", -0.1, 0.031),
            )
        ],
        "calibration": [
            {
                **ASKED,
                "score": "stated_confidence",
                "n": 160,
                "mean_confidence": 0.84,
                "accuracy": 0.77,
                "brier": 0.14,
                "log_loss": 0.46,
                "expected_calibration_error": 0.07,
                "smooth_calibration_error": {
                    "estimate": 0.08, "low": 0.03, "high": 0.1, "if_calibrated": 0.02
                },
                "reliability": [
                    {
                        "bin": i, "n": 20 * i, "mean_confidence": 0.1 * i + 0.05,
                        "accuracy": 0.1 * i,
                        "accuracy_low": 0.1 * i - 0.05, "accuracy_high": 0.1 * i + 0.05,
                    }
                    for i in (6, 8)
                ],
            }
        ],
        "external_threshold": [external()],
        "cost_curves": [curve_of(ARM, 0.1), curve_of(FRAMED, 0.06)],
        "overlap": [overlap(1.2)],
    }  # fmt: skip


def external(**changes: Any) -> dict[str, Any]:
    row = {
        **{name: value for name, value in ASKED.items() if name != "cost_ratio"},
        "score": "stated_confidence",
        "is_cost_stated": False,
        "cost_ratio": 4.0,
        "n": 160,
        "cost": 0.52,
        "own_cost": 0.63,
        "difference": {"estimate": 0.11, "low": 0.08, "high": 0.14},
        "reason": None,
    }
    return row | changes


def overlap(effect: float, **changes: Any) -> dict[str, Any]:
    row = {
        **ARM,
        "n": 160,
        "n_scenarios": 100,
        "n_overlapping": 60,
        "accuracy_design_effect": effect,
        "escalation_design_effect": 0.9,
        "n_effective_accuracy": 160 / effect,
        "n_effective_escalation": 160 / 0.9,
    }
    return row | changes


@pytest.fixture
def profile() -> dict[str, Any]:
    return grown_profile()


def said(profile: dict[str, Any], **more_: Any) -> str:
    return " ".join(profile_text(profile, **more_).split())


def test_numbers() -> None:
    assert [more(0.374), more(-0.2), more(0.001), more(None)] == ["+0.37", "−0.20", "0.00", "—"]
    assert [p_value(0.0009), p_value(0.031), p_value(None)] == ["< 0.001", "0.031", "—"]
    assert with_span(interval(1.0, 1.0, 1.0), "cost") == "1.00"
    assert with_span({"estimate": 0.5, "low": None, "high": None}, "cost") == "0.50"


# ---------------------------------------------------------------- missing answers, scenarios


def test_bounds_are_said_where_they_say_something() -> None:
    value = interval(0.6, 0.55, 0.65)
    assert moved_words(bounded(value, 0.551, 0.63), 3) == (
        "If missing answers had all gone one way: 55.1 to 63.0 %."
    )
    assert moved_words(bounded(value, None, None), 3) == "Missing answers could undo it."
    assert moved(bounded(value, None, 0.7), 3) == UNDONE
    for nothing in (
        moved(bounded(value, 0.60000001, 0.60000002), 3),  # nothing that would be printed
        moved(bounded(value, 0.5, 0.7), 0),  # nothing missing
        moved(bounded(value, None, None), 0),
        moved(value, 3),  # an older profile
        moved(bounded(NULL, None, None), 3),  # no number, no bounds
        moved(None, 3),
    ):
        assert nothing == ""


def test_bounds_in_text_and_page(profile: dict[str, Any], tmp_path: Path) -> None:
    profile["predictive_accuracy"] = bounded(profile["predictive_accuracy"], 0.6, 0.7)
    profile["calibration_bias"] = bounded(profile["calibration_bias"], None, None)
    for row in profile["interventions"][-2:]:
        row["realized_cost"] = bounded(row["realized_cost"], 0.8, 1.1)
    whole = Page(written([profile], tmp_path / "a.html")).text
    for text in (said(profile), whole):
        assert "gone one way" not in text
        assert "could undo it" not in text
    profile["statuses"] |= {"ok": 1400, "refused": 100}
    text = said(profile)
    assert "If missing answers had all gone one way: 60.0 to 70.0 %." in text
    assert "Missing answers could undo it." in text
    assert "people keep 41 % of them. Next best: always escalating" in text
    assert "If missing answers had all gone one way: 0.80 to 1.10." in text
    assert "with the missing 0.80–1.10" in text
    page = Page(written([profile], tmp_path / "b.html")).text
    assert "In italics" in page
    assert "0.80–1.10" in page


def test_scenarios_kept_together(profile: dict[str, Any]) -> None:
    value = interval(0.6, 0.55, 0.65)
    assert kept_together({**value, "scenario_low": 0.5, "scenario_high": 0.7}) == "[50.0, 70.0]"
    assert kept_together({**value, "scenario_low": 0.545, "scenario_high": 0.655}) == ""
    assert kept_together({**value, "scenario_low": None, "scenario_high": None}) == ""
    assert kept_together(value) == ""
    profile["predictive_accuracy"] |= {"scenario_low": 0.55, "scenario_high": 0.73}
    text = said(profile)
    assert "Beyond these conditions: [56.0, 72.0]; with scenarios kept together: [55.0, 73.0]." in (
        text
    )
    profile["predictive_accuracy"] |= {"clustered_low": None, "clustered_high": None}
    assert "With scenarios kept together: [55.0, 73.0]." in said(profile)


def test_overlap(profile: dict[str, Any]) -> None:
    assert "under baseline the 160 are worth 133 for accuracies and 160 for" in said(profile)
    alike = {"overlap": [overlap(1.01)]}
    assert overlap_words(alike).endswith("that costs next to no precision.")
    assert overlap_words({"overlap": [overlap(1.01, n_overlapping=10)]}) == ""
    unknown = dict.fromkeys(("accuracy_design_effect", "n_effective_accuracy"))
    assert overlap_words({"overlap": [overlap(1.0, n_overlapping=10) | unknown]}) == ""
    assert overlap_words({}) == ""


# ---------------------------------------------------------------- what to do


def sentence(**changes: Any) -> str:
    profile = made_profile() | {"recommendations": [recommendation(**changes)]}
    return recommended(profile)[0].sentence


def test_recommendation_that_is_clear(profile: dict[str, Any]) -> None:
    text = said(profile)
    assert (
        "At R = 4: let it act under cost_framing (ratio); a decision costs 0.63 [0.60, 0.66] "
        "escalations and people keep 41 % of them. Next best: always escalating, 0.37 more "
        "[0.34, 0.40]."
    ) in text
    assert "At R = 10: do not let it act: every other rule costs more." in text
    assert text.index("At R = 4: let") < text.index("How the dialogues ended")
    assert recommended_at(profile, 7.0) is None


def test_recommendation_that_is_not_clear() -> None:
    other = chosen(ARM, "model", interval(0.65, 0.6, 0.7))
    unclear = {"next_best": other, "is_clear": False}
    assert "Not clearly better than baseline: 0.02 more [−0.01, 0.05]." in sentence(
        **unclear, gap=interval(0.02, -0.01, 0.05)
    )
    near = interval(0.02, 0.01, 0.05)
    assert "but not clearly beyond them: [−0.04, 0.10]." in sentence(**unclear, gap=near)
    near |= {"clustered_low": None, "clustered_high": None}
    assert "but not clearly beyond them: of unknown size." in sentence(**unclear, gap=near)
    near |= {"low": None, "high": None}
    assert "0.02 more, without an interval." in sentence(**unclear, gap=near)
    assert "baseline costs the same." in sentence(**unclear, gap=interval(0.0, 0.0, 0.0))


def test_recommendation_of_a_fixed_rule() -> None:
    people = chosen(None, "always_escalate", interval(1.0, 1.0, 1.0))
    assert "do not let it act: every other rule costs more. People keep every" in sentence(**people)
    assert "no rule that lets it act is shown to cost less" in sentence(**people, is_clear=False)
    alone = chosen(None, "always_implement", interval(0.4, 0.3, 0.5))
    text = sentence(**alone)
    assert "let it act on every decision: every rule that asks people costs more. A" in text
    assert "people keep none" in text
    assert "no rule that asks people is shown to cost less" in sentence(**alone, is_clear=False)


def test_recommendation_of_the_baseline() -> None:
    own = chosen(ARM, "model", interval(0.7, 0.6, 0.8)) | {"escalation_rate": 0.0}
    text = sentence(**own, n_left_out=4)
    assert "let it act as it is (baseline); " in text
    assert "people keep none. That is the same as letting it act on every decision." in text
    assert "4 interventions were tried under other conditions and are left out" in text
    assert "1 intervention was tried under other conditions and is left out" in sentence(
        n_left_out=1
    )


# ---------------------------------------------------------------- tables


def test_domains(profile: dict[str, Any], tmp_path: Path) -> None:
    text = said(profile)
    page = Page(written([profile], tmp_path / "a.html")).text
    for shown in (text, page):
        assert "Each domain by itself" in shown
        assert "−321" not in shown
        assert "118.0 %" not in shown
    assert re.search(r"hmda_mortgages 80 70\.0 % unidentified 100\.0 % \+30\.0", text)
    assert re.search(r"movielens 80 70\.0 % 62\.0 % 100\.0 % \+30\.0", text)
    assert "moral_machine ² 80 70.0 % extrapolated" in text
    assert "was cut there" in text
    assert "(left out of pooled numbers)" in page
    profile["domains"] = profile["domains"][:1]
    assert "Each domain by itself" not in said(profile)


def test_thresholds_of_interventions(profile: dict[str, Any], tmp_path: Path) -> None:
    text = said(profile)
    assert "baseline — 8 160 62.0 % 58.0–66.0" in text
    assert "cost_framing (ratio) 4 8 160 unidentified" in text
    profile["arms"] = profile["arms"][:1]
    assert "Threshold under each" not in said(profile)
    assert "Threshold under each" in Page(written([profile], tmp_path / "a.html")).text


def test_differences(profile: dict[str, Any], tmp_path: Path) -> None:
    text = said(profile)
    assert "cost_framing (ratio) 151 +6.2 < 0.001 −10.0 0.031 −0.28" in text
    assert "−14.0 to −6.0" in text
    for row in profile["differences"]:
        row |= {"is_paired": False, "cost_ratio": 10.0}
    assert "change against the baseline at" not in said(profile)
    page = Page(written([profile], tmp_path / "a.html")).text
    assert re.search(r"cost_framing \(ratio\) 10 stated not paired \+6\.2 points", page)
    text = said(profile, cost_ratio=10.0)
    assert "their dialogues are compared as independent" in text


# ---------------------------------------------------------------- confidence


def test_confidence(profile: dict[str, Any], tmp_path: Path) -> None:
    text = said(profile)
    for shown in (text, Page(written([profile], tmp_path / "a.html")).text):
        assert (
            "At R = 4 a threshold from outside on its stated confidence would cost 0.52 instead of "
            "0.63: its own escalation loses 0.11 [0.08, 0.14]."
        ) in shown
    assert (
        "Stated confidence: 84.0 % on average, and right in 77.0 % of 160; calibration error 0.08 "
        "[0.03, 0.10], 0.02 by noise alone."
    ) in text
    profile |= {"calibration": [], "external_threshold": []}
    assert "own confidence" not in said(profile)
    assert reliability_svg(profile, "r-") == ""


def test_external_threshold_in_words() -> None:
    def words(**changes: Any) -> str:
        return external_words({"external_threshold": [external(**changes)]}, 4.0)[0]

    saves = {"estimate": -0.1, "low": -0.14, "high": -0.05}
    assert words(difference=saves).endswith("its own escalation saves 0.10 [0.05, 0.14].")
    open_ = {"estimate": 0.02, "low": -0.01, "high": 0.05}
    assert words(difference=open_).endswith("no difference is shown (+0.02 [−0.01, 0.05]).")
    reason = {"cost_ratio": None, "reason": "too little"}
    for name in ("cost", "own_cost", "difference"):
        reason[name] = None
    assert words(**reason) == (
        "Stated confidence: no threshold from outside could be tried. Too little."
    )
    stated = {"intervention": "both", "is_cost_stated": True}
    assert "on its stated confidence (both, R = 4 stated) would" in words(**stated)
    assert external_words({"external_threshold": [external(cost_ratio=10.0)]}, 4.0) == []


# ---------------------------------------------------------------- figures


def test_figures_are_the_same_bytes_and_in_the_page(
    profile: dict[str, Any], tmp_path: Path
) -> None:
    assert cost_curve_svg(profile, 4.0, "c-") == cost_curve_svg(profile, 4.0, "c-")
    assert reliability_svg(profile, "r-") == reliability_svg(profile, "r-")
    page = written([profile, profile | {"model": "other"}], tmp_path / "a.html")
    assert page.count("<svg") == 6
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_cost_figure(profile: dict[str, Any]) -> None:
    svg = cost_curve_svg(profile, 4.0, "c-")
    for words in ("always escalating", "always implementing", "best possible", "R = 4 stated"):
        assert words in svg
    assert "not drawn" not in cost_caption(profile, 4.0)
    tens = [curve_of({**FRAMED, "cost_ratio": 10.0, "framing": f"f{i}"}, 0.1) for i in range(9)]
    profile["cost_curves"] = [curve_of(ARM, 0.1), *tens, curve_of(FRAMED, 0.1)]
    lines = cost_lines(profile, 4.0)
    assert len(lines) == MAX_LINES
    assert lines[1]["framing"] == "ratio"
    assert "5 more that state a cost are not drawn." in cost_caption(profile, 4.0)


def test_the_band_of_the_line(profile: dict[str, Any]) -> None:
    assert "linear fit, 95 % beyond these conditions" in escalation_curve_svg(profile)
    for row in profile["curve"]:
        row |= {"clustered_low": None, "clustered_high": None}
    assert "beyond these conditions" not in escalation_curve_svg(profile)


# ---------------------------------------------------------------- across models


def test_across_models(profile: dict[str, Any], tmp_path: Path) -> None:
    assert across_models([profile]) is None
    dearer = copy.deepcopy(profile) | {"model": "other"}
    dearer["recommendations"][0]["realized_cost"] = interval(0.8, 0.7, 0.9)
    found = across_models([dearer, profile])
    assert found is not None
    first, second = found["rows"]
    assert first["model"] == "smollm2-135m-instruct"
    assert first["advice"] == "cost_framing (ratio)"
    assert (first["cost"], first["kept"]) == ("0.63 [0.60, 0.66]", "41 %")
    assert first["verdict"] == "yes: the intervals are apart"
    assert second["model"] is None
    assert found["notes"] == []
    dearer["recommendations"][0]["realized_cost"] = interval(0.64, 0.6, 0.9)
    close = across_models([dearer, profile])
    assert close is not None
    assert close["rows"][0]["verdict"] == "no: the intervals overlap"
    page = Page(written([profile, dearer], tmp_path / "a.html")).text
    assert "Recommendation across models" in page
    assert "let people take every decision" in page


def test_models_with_other_conditions_are_not_compared(
    profile: dict[str, Any], tmp_path: Path
) -> None:
    fewer = copy.deepcopy(profile) | {"model": "fewer"}
    fewer["curve"] = fewer["curve"][1:]
    found = across_models([profile, fewer])
    assert found is not None
    assert found["rows"] == []
    (note,) = found["notes"]
    assert "cover different conditions, so they are not compared" in note
    assert "fewer (7 conditions)" in note
    assert note in Page(written([profile, fewer], tmp_path / "a.html")).text


def test_conditions_are_those_of_the_intervention_that_is_recommended(
    profile: dict[str, Any],
) -> None:
    other = profile | {"model": "other"}
    counted = [
        {
            **FRAMED,
            "model": model,
            "domain": "movielens",
            "condition": f"movielens_{i}",
            "status": status,
            "n": 5,
        }
        for model in (profile["model"], "other")
        for i in range(4)
        for status in ("ok", "error")
    ]
    found = across_models([profile, other], counted)
    assert found is not None
    assert found["rows"][0]["n_conditions"] == 4
    lost = [row for row in counted if (row["model"], row["status"]) != ("other", "ok")]
    lost += [row for row in counted if row["model"] == "other" and row["condition"][-1] != "0"]
    found = across_models([profile, other], lost)
    assert found is not None
    assert found["rows"][0]["cost_ratio"] == 10.0


# ---------------------------------------------------------------- all of it


@pytest.mark.parametrize("width", [80, 100])
def test_text_fits(profile: dict[str, Any], width: int) -> None:
    profile["statuses"] |= {"ok": 1400, "refused": 100}
    for row in profile["interventions"]:
        row["coverage"] = bounded(row["coverage"], 0.1, 1.0)
    text = profile_text(profile, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert not re.search(r"\b(None|nan)\b", text)
    assert re.search(r"−14\.0 to −6\.0", text)


def test_hostile_names(profile: dict[str, Any], tmp_path: Path) -> None:
    for part in ("arms", "differences", "calibration", "external_threshold", "cost_curves"):
        for row in profile[part]:
            row["intervention"] = HOSTILE
    for row in (profile["recommendations"][0], profile["overlap"][0]):
        row["intervention"] = HOSTILE
    profile["domains"][0]["domain"] = HOSTILE
    profile["external_threshold"].append(external(reason=HOSTILE, cost_ratio=None))
    profile["model"] = HOSTILE
    text = profile_text(profile)
    whole = written([profile, copy.deepcopy(profile)], tmp_path / "a.html")
    for shown in (text, whole):
        assert not any(mark in shown for mark in "\x1b\x07\u202e\u2066\u200b\ud800")
    page = Page(whole)
    assert not page.tags & {"script", "img"}
    assert not page.handlers
    assert all(reference.startswith("#") for reference in page.references)


def test_a_profile_of_nothing(profile: dict[str, Any], tmp_path: Path) -> None:
    for part in (
        "recommendations", "domains", "arms", "differences", "calibration", "external_threshold",
        "cost_curves", "overlap", "curve", "interventions",
    ):  # fmt: skip
        profile[part] = []
    text = said(profile)
    page = Page(written([profile, profile | {"model": "other"}], tmp_path / "a.html")).text
    for shown in (text, page):
        assert "At R = 4: " not in shown
        assert "Each domain by itself" not in shown
    assert "Recommendation across models" not in page
