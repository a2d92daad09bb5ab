"""Missing answers, recommendations and tables, in the text and on the page."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from escalometer.documents import Interval
from escalometer.documents.interval import BoundedInterval, SimpleInterval
from escalometer.documents.wording import more, p_value, with_span
from escalometer.reporting.missing_answers import (
    UNDONE,
    kept_together,
    moved,
    moved_words,
    overlap_words,
)
from escalometer.reporting.profile_text import profile_text
from escalometer.reporting.recommendations import recommended, recommended_at
from tests.unit.example_profiles import (
    NULL,
    VARIANT,
    bounded,
    candidate,
    external,
    full_profile,
    interval,
    overlap,
    recommendation,
    small_profile,
    typed,
)
from tests.unit.report_pages import HOSTILE, Page, written


@pytest.fixture
def profile() -> dict[str, Any]:
    return full_profile()


def flat_text(profile: dict[str, Any], **options: Any) -> str:
    return " ".join(profile_text(typed(profile), **options).split())


def test_numbers() -> None:
    assert [more(0.374), more(-0.2), more(0.001), more(None)] == ["+0.37", "−0.20", "0.00", "—"]
    assert [p_value(0.0009), p_value(0.031), p_value(None)] == ["< 0.001", "0.031", "—"]
    assert with_span(SimpleInterval(estimate=1.0, low=1.0, high=1.0), "cost") == "1.00"
    assert with_span(SimpleInterval(estimate=0.5, low=None, high=None), "cost") == "0.50"


# ---------------------------------------------------------------- missing answers, scenarios


def with_bounds(value: dict[str, Any], low: float | None, high: float | None) -> BoundedInterval:
    return BoundedInterval.model_validate(bounded(value, low, high))


def test_bounds_are_stated_only_if_they_differ() -> None:
    value = interval(0.6, 0.55, 0.65)
    assert moved_words(with_bounds(value, 0.551, 0.63), 3) == (
        "Bounds for missing answers: 55.1 to 63.0%."
    )
    assert (
        moved_words(with_bounds(value, None, None), 3) == "Missing answers could make it undefined."
    )
    assert moved(with_bounds(value, None, 0.7), 3) == UNDONE
    for nothing in (
        moved(with_bounds(value, 0.60000001, 0.60000002), 3),  # equal as printed
        moved(with_bounds(value, 0.5, 0.7), 0),  # no missing answers
        moved(with_bounds(value, None, None), 0),
        moved(with_bounds(NULL, None, None), 3),  # no estimate
    ):
        assert nothing == ""


def test_bounds_in_text_and_page(profile: dict[str, Any], tmp_path: Path) -> None:
    profile["predictive_accuracy"] = bounded(profile["predictive_accuracy"], 0.6, 0.7)
    profile["calibration_bias"] = bounded(profile["calibration_bias"], None, None)
    for row in profile["interventions"][-2:]:
        row["realized_cost"] = bounded(row["realized_cost"], 0.8, 1.1)
    whole = Page(written([profile], tmp_path / "a.html")).text
    for text in (flat_text(profile), whole):
        assert "Bounds for missing answers: " not in text
        assert "make it undefined" not in text
    profile["statuses"] |= {"ok": 1400, "refused": 100}
    text = flat_text(profile)
    assert "Bounds for missing answers: 60.0 to 70.0%." in text
    assert "Missing answers could make it undefined." in text
    assert "escalation rate 41%. Second cheapest: always escalating" in text
    assert "Bounds for missing answers: 0.80 to 1.10." in text
    assert "bounds, missing 0.80–1.10" in text
    page = Page(written([profile], tmp_path / "b.html")).text
    assert "In italics" in page
    assert "0.80–1.10" in page


def test_scenarios_kept_together(profile: dict[str, Any]) -> None:
    def words(low: float | None, high: float | None) -> str:
        found = interval(0.6, 0.55, 0.65) | {"scenario_low": low, "scenario_high": high}
        return kept_together(Interval.model_validate(found))

    assert words(0.5, 0.7) == "[50.0, 70.0]"
    assert words(0.545, 0.655) == ""
    assert words(None, None) == ""
    profile["predictive_accuracy"] |= {"scenario_low": 0.55, "scenario_high": 0.73}
    text = flat_text(profile)
    assert "Beyond these conditions: [56.0, 72.0]; scenarios resampled: [55.0, 73.0]." in (text)
    profile["predictive_accuracy"] |= {"clustered_low": None, "clustered_high": None}
    assert "Scenarios resampled: [55.0, 73.0]." in flat_text(profile)


def test_overlap(profile: dict[str, Any]) -> None:
    assert (
        "under baseline, 160 dialogues are worth 133 independent ones for accuracies and 160"
        in flat_text(profile)
    )

    def words(*rows: dict[str, Any]) -> str:
        return overlap_words(typed(profile | {"overlap": list(rows)}))

    assert words(overlap(1.01)).endswith("with little loss of precision.")
    assert words(overlap(1.01, n_overlapping=10)) == ""
    unknown = dict.fromkeys(("accuracy_design_effect", "n_effective_accuracy"))
    assert words(overlap(1.0, n_overlapping=10) | unknown) == ""
    assert words() == ""


# ---------------------------------------------------------------- recommendations


def sentence(**changes: Any) -> str:
    profile = small_profile() | {"recommendations": [recommendation(**changes)]}
    return recommended(typed(profile))[0].sentence


def test_recommendation_that_is_clear(profile: dict[str, Any]) -> None:
    text = flat_text(profile)
    assert (
        "At R = 4: follow the model under cost_framing (ratio). Cost: 0.63 [0.60, 0.66] "
        "escalations per decision; escalation rate 41%. Second cheapest: always escalating, 0.37 "
        "more [0.34, 0.40]."
    ) in text
    assert "At R = 10: escalate every decision: every other policy costs more." in text
    assert text.index("At R = 4: follow") < text.index("Dialogues by status")
    assert recommended_at(typed(profile), 7.0) is None


def test_recommendation_that_is_not_clear() -> None:
    other = candidate(VARIANT, "model", interval(0.65, 0.6, 0.7))
    unclear = {"next_best": other, "is_clear": False}
    assert "No difference from baseline is shown: 0.02 more [−0.01, 0.05]." in sentence(
        **unclear, gap=interval(0.02, -0.01, 0.05)
    )
    near = interval(0.02, 0.01, 0.05)
    assert "beyond them no difference is shown: [−0.04, 0.10]." in sentence(**unclear, gap=near)
    near |= {"clustered_low": None, "clustered_high": None}
    assert "beyond them no difference is shown: no interval." in sentence(**unclear, gap=near)
    near |= {"low": None, "high": None}
    assert "0.02 more, without an interval." in sentence(**unclear, gap=near)
    assert "baseline costs the same." in sentence(**unclear, gap=interval(0.0, 0.0, 0.0))


def test_recommendation_of_a_fixed_rule() -> None:
    people = candidate(None, "always_escalate", interval(1.0, 1.0, 1.0))
    assert "escalate every decision: every other policy costs more. Cost: 1.00" in sentence(
        **people
    )
    assert "no policy that implements predictions is shown to cost less" in sentence(
        **people, is_clear=False
    )
    alone = candidate(None, "always_implement", interval(0.4, 0.3, 0.5))
    text = sentence(**alone)
    assert "implement every prediction: every policy that escalates costs more. Cost" in text
    assert "no decisions are escalated" in text
    assert "no policy that escalates is shown to cost less" in sentence(**alone, is_clear=False)


def test_recommendation_of_the_baseline() -> None:
    baseline = candidate(VARIANT, "model", interval(0.7, 0.6, 0.8)) | {"escalation_rate": 0.0}
    text = sentence(**baseline, n_left_out=4)
    assert "follow the model under baseline. " in text
    assert "escalation rate 0%. This equals implementing every prediction." in text
    assert "Excluded: 4 interventions have too few of the conditions." in text
    assert "Excluded: 1 intervention has too few of the conditions." in sentence(n_left_out=1)


def test_a_recommendation_that_is_not_shown_to_save_anything() -> None:
    text = sentence(saves=interval(0.33, -0.17, 0.83), is_shown=False)
    assert "At R = 4: these data do not support autonomous use." in text
    assert "the cheapest, to follow the model under cost_framing (ratio)," in text
    assert "saves 0.33 [−0.17, 0.83] per decision. Cost: 0.63" in text


# ---------------------------------------------------------------- tables


def test_domains(profile: dict[str, Any], tmp_path: Path) -> None:
    text = flat_text(profile)
    page = Page(written([profile], tmp_path / "a.html")).text
    for shown in (text, page):
        assert "movielens 80" in shown
        assert "−321" not in shown
        assert "118.0%" not in shown
    assert re.search(r"hmda_mortgages 80 70\.0% unidentified 100\.0% \+30\.0", text)
    assert re.search(r"movielens 80 70\.0% 62\.0% 100\.0% \+30\.0", text)
    assert "moral_machine ² 80 70.0% extrapolated" in text
    assert "of 0 or 100% is clipped" in text
    assert "(excluded from pooled numbers)" in page
    profile["domains"] = profile["domains"][:1]
    assert "movielens 80" not in flat_text(profile)


def test_thresholds_of_interventions(profile: dict[str, Any], tmp_path: Path) -> None:
    text = flat_text(profile)
    assert "baseline — 8 160 62.0% 58.0–66.0" in text
    assert "cost_framing (ratio) 4 8 160 unidentified" in text
    profile["arms"] = profile["arms"][:1]
    assert "Threshold by intervention" not in flat_text(profile)
    assert "Threshold by intervention" in Page(written([profile], tmp_path / "a.html")).text


def test_differences(profile: dict[str, Any], tmp_path: Path) -> None:
    text = flat_text(profile)
    assert "cost_framing (ratio) 151 +6.2 < 0.001 −10.0 0.031 −0.28" in text
    assert "−14.0 to −6.0" in text
    for row in profile["differences"]:
        row |= {"is_paired": False, "cost_ratio": 10.0}
    assert "Interventions compared with the baseline at" not in flat_text(profile)
    page = Page(written([profile], tmp_path / "a.html")).text
    assert re.search(r"cost_framing \(ratio\) 10 stated not paired \+6\.2 points", page)
    text = flat_text(profile, cost_ratio=10.0)
    assert "so dialogues are compared as independent" in text


# ---------------------------------------------------------------- the whole text


@pytest.mark.parametrize("width", [80, 100])
def test_text_fits(profile: dict[str, Any], width: int) -> None:
    profile["statuses"] |= {"ok": 1400, "refused": 100}
    for row in profile["interventions"]:
        row["coverage"] = bounded(row["coverage"], 0.1, 1.0)
    text = profile_text(typed(profile), width=width)
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
    text = profile_text(typed(profile))
    whole = written([profile, copy.deepcopy(profile)], tmp_path / "a.html")
    for shown in (text, whole):
        assert not any(mark in shown for mark in "\x1b\x07\u202e\u2066\u200b")
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
    text = flat_text(profile)
    page = Page(written([profile, profile | {"model": "other"}], tmp_path / "a.html")).text
    for shown in (text, page):
        assert "At R = 4: " not in shown
        assert "movielens 80" not in shown
    assert "Recommendation across models" not in page
