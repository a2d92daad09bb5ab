from __future__ import annotations

import copy
import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from escalometer.config import Params
from escalometer.documents.wording import Bounds, points, share, span, visible
from escalometer.errors import DataError, UsageError
from escalometer.reporting.conclusions import headline
from escalometer.reporting.curve_figure import escalation_curve_figure, escalation_curve_svg
from escalometer.reporting.data_status_text import print_status
from escalometer.reporting.page import ReportContent, write_report
from escalometer.reporting.profile_text import print_profile, profile_text
from escalometer.reporting.variants import intervention_rows
from escalometer.schema import CONDITIONS, DECISIONS, write_table
from escalometer.stages import report as stage
from tests.unit.example_profiles import (
    EXTRAPOLATED,
    NULL,
    UNIDENTIFIED,
    bounded,
    fit,
    interval,
    small_profile,
    thresholds,
    typed,
)
from tests.unit.grown_probes import grown_probes
from tests.unit.report_pages import CONDITION, HOSTILE, PROVENANCE, SUITE, Page, dialogue, written

SURROGATE = "\ud800"  # a model's text may contain a lone surrogate; a document cannot


@pytest.fixture
def profile() -> dict[str, Any]:
    return small_profile()


# ---------------------------------------------------------------- numbers and texts


def test_numbers() -> None:
    assert share(0.6125) == "61.3%"
    assert share(-0.00001) == "0.0%"
    assert share(None) == "—"
    assert points(-0.05) == "−5.0 points"
    assert span(Bounds(0.58, 0.644)) == "[58.0, 64.4]"
    assert span(Bounds(None, 0.644)) == "—"
    assert span(None) == "—"
    assert span(Bounds(-0.1, 1.5), "cost") == "[−0.10, 1.50]"


def test_invisible_characters_are_spelled_out() -> None:
    shown = visible(HOSTILE + SURROGATE + "\r\nnext\tline\xa0end")
    assert shown.endswith("\nnext\tline\xa0end")
    for code in ("001B", "0007", "202E", "2066", "2069", "200B", "D800"):
        assert f"⟨U+{code}⟩" in shown
    assert all(c.isprintable() or c in "\n\t\xa0" for c in shown)
    assert "مرحبا" in shown
    shown.encode("utf-8")


# ---------------------------------------------------------------- the text


def test_text_has_every_number_with_its_interval(profile: dict[str, Any]) -> None:
    text = " ".join(profile_text(typed(profile)).split())
    for expected in (
        "smollm2-135m-instruct",
        "64.2% [61.0, 67.0]",
        "62.0% [58.0, 66.0]",
        "τ* at R = 4 75%",
        "74.0% [69.0, 80.0]",
        "+9.8 points [4.0, 15.0]",
        "Overconfident",
        "The model implements where it should escalate.",
        "0.84–1.02",
    ):
        assert expected in text
    assert "force_answer" not in text


def test_text_and_page_name_the_edition(profile: dict[str, Any], tmp_path: Path) -> None:
    assert "Editions" not in profile_text(typed(profile))  # recorded decisions contain no edition
    profile["editions"] = {"movielens": "dslabs", "hmda_mortgages": "raw"}
    text = profile_text(typed(profile))
    assert "Editions of the data: movielens (dslabs), hmda_mortgages (raw)" in text
    page = tmp_path / "index.html"
    write_report(ReportContent(profiles=[typed(profile)], cost_ratio=4.0), page)
    assert page.read_text("utf-8").count("edition of the data: dslabs") == 1


@pytest.mark.parametrize("width", [80, 100])
def test_text_fits(profile: dict[str, Any], width: int) -> None:
    text = profile_text(typed(profile), width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert text.count("0.00–0.20") == 3
    assert "\x1b" not in text


def test_an_unidentified_threshold_has_no_number(profile: dict[str, Any]) -> None:
    profile["implicit_threshold"] = thresholds(UNIDENTIFIED)
    profile["self_estimated_accuracy"] = bounded(NULL) | {"n_clipped": 0}
    profile["calibration_bias"] = bounded(NULL)
    text = " ".join(profile_text(typed(profile)).split())
    assert "Not identified: the escalation rate does not decrease with accuracy." in text
    assert "Threshold not identified" in headline(typed(profile))
    for number in ("−321", "-321", "5500", "3.21"):
        assert number not in text
    assert "requires the no_signal intervention" in text
    svg = escalation_curve_svg(typed(profile))
    assert "not identified" in svg
    assert "p* =" not in svg


def test_an_extrapolated_threshold_is_marked(profile: dict[str, Any]) -> None:
    profile["implicit_threshold"] = thresholds(EXTRAPOLATED)
    text = " ".join(profile_text(typed(profile)).split())
    assert "118.0% [97.0, 240.0]" in text
    assert "Extrapolated: the observed accuracies are 50% to 80%" in text
    assert "extrapolated" in escalation_curve_svg(typed(profile))


def test_the_reason_for_a_missing_line_is_stated(profile: dict[str, Any]) -> None:
    profile["implicit_threshold"] = thresholds(fit(NULL, None, "unidentified"))
    for point in profile["curve"]:
        point["predictive_accuracy"] = 0.7
    assert "the accuracy is the same in all conditions" in headline(typed(profile))
    profile["curve"] = profile["curve"][:1]
    assert "at least two conditions with usable dialogues are needed, found 1" in headline(
        typed(profile)
    )
    noisy = fit(interval(0.6, 0.5, 0.7), -0.4, "unidentified")
    profile["implicit_threshold"] = thresholds(noisy)
    assert "the interval of the slope includes zero" in headline(typed(profile))
    assert "Escalation rate (baseline): 70%." in headline(typed(profile))


def test_human_errors_lower_the_optimal_threshold(profile: dict[str, Any]) -> None:
    profile["human_error_rate"] = 0.1
    text = " ".join(profile_text(typed(profile)).split())
    assert "τ* at R = 4 65%" in text
    assert "people err in 10.0% of cases" in text
    assert "τ* = 65%" in escalation_curve_svg(typed(profile))


def test_a_side_domain_is_drawn_separately(profile: dict[str, Any]) -> None:
    assert "not in the fit" not in escalation_curve_svg(typed(profile))
    profile["curve"][0] |= {"domain": "moral_machine", "is_main": False}
    assert "moral_machine (n = 20, not in the fit)" in escalation_curve_svg(typed(profile))


def test_variants_have_different_labels(profile: dict[str, Any]) -> None:
    again = copy.deepcopy(profile["interventions"][:2])
    for row in again:
        row |= {"is_isolated": True, "is_thinking": True, "reasoning_effort": "low"}
    profile["interventions"] += again
    profile["notes"] = ["Excluded from pooled numbers: moral_machine."]
    text = profile_text(typed(profile))
    assert "Note: Excluded from pooled numbers" in text
    labels = [row.label for row in intervention_rows(typed(profile), 4.0)]
    assert labels[-1] == "baseline, effort low, thinking, isolated"


def test_forced_and_missing_answers_are_stated(profile: dict[str, Any]) -> None:
    profile["statuses"] |= {"ok": 1300, "forced": 120, "unparsed": 60, "truncated": 20}
    text = " ".join(profile_text(typed(profile)).split())
    assert "120 of 1,500 dialogues are forced" in text
    assert "The study does not force answers" in text
    assert "80 of 1,500 dialogues have no readable prediction or action" in text


def test_an_empty_profile(profile: dict[str, Any]) -> None:
    profile |= {
        "n_decisions": 0,
        "statuses": dict.fromkeys(profile["statuses"], 0),
        "predictive_accuracy": bounded(NULL),
        "implicit_threshold": thresholds(fit(NULL, None, "unidentified")),
        "self_estimated_accuracy": bounded(NULL) | {"n_clipped": 0},
        "calibration_bias": bounded(NULL),
        "curve": [],
        "interventions": [],
    }
    text = profile_text(typed(profile))
    assert "There are no dialogues of this model." in text
    assert "None" not in text
    assert "nan" not in text
    assert "no usable dialogue" in escalation_curve_svg(typed(profile))


def test_a_ratio_without_scores_is_stated(profile: dict[str, Any]) -> None:
    assert "Not scored at R = 10; cost ratios scored: 4." in profile_text(typed(profile), 10.0)


def test_both_scores_are_in_one_row(profile: dict[str, Any]) -> None:
    rows = intervention_rows(typed(profile), 4.0)
    assert [row.label for row in rows] == ["baseline", "no_signal", "cost_framing (ratio)"]
    assert [row.common.is_cost_stated for row in rows] == [False, False, True]
    by_accuracy, by_signal = rows[0].by_accuracy, rows[0].by_signal
    assert by_accuracy is not None and by_accuracy.scored_against == "predictive_accuracy"
    assert by_signal is not None and by_signal.scored_against == "signal_accuracy"


def test_hostile_names_on_a_terminal(profile: dict[str, Any]) -> None:
    profile["model"] = "[bold]" + HOSTILE
    profile["curve"][0]["condition"] = HOSTILE
    text = profile_text(typed(profile))
    assert not any(mark in text for mark in "\x1b\x07\u202e\u2066")
    assert "[bold]" in text


def test_a_stream_without_unicode(profile: dict[str, Any]) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_profile(typed(profile), stream)
    assert b"Escalation profile of smollm2-135m-instruct" in raw.getvalue()


# ---------------------------------------------------------------- the figure


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_figure_is_the_same_bytes(profile: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        escalation_curve_figure(typed(profile), tmp_path / f"{name}.{suffix}")
    first = (tmp_path / f"a.{suffix}").read_bytes()
    assert first == (tmp_path / f"b.{suffix}").read_bytes()
    assert len(first) > 5_000


def test_figure_escapes_names(profile: dict[str, Any], tmp_path: Path) -> None:
    profile["model"] = HOSTILE + " $x_1^ $"
    profile["curve"][0]["domain"] = "_hidden <b>"
    path = tmp_path / "curve.svg"
    escalation_curve_figure(typed(profile), path)
    texts = "".join(ET.parse(path).getroot().itertext())  # noqa: S314 - our own figure
    assert "<script>" in texts
    assert "_hidden <b>" in texts
    assert "$x_1^ $" in texts


def test_figures_of_one_page_share_no_id(profile: dict[str, Any]) -> None:
    ids = [
        set(re.findall(r'id="([^"]+)"', escalation_curve_svg(typed(profile), prefix=prefix)))
        for prefix in ("a-", "b-")
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_unknown_suffix(profile: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.svg or \.png"):
        escalation_curve_figure(typed(profile), tmp_path / "curve.pdf")


# ---------------------------------------------------------------- the page


def test_page_contains_all_parts(profile: dict[str, Any], tmp_path: Path) -> None:
    page = Page(written([profile], tmp_path / "deep" / "index.html"))
    for expected in (
        "64.2% [61.0, 67.0]",
        "Beyond these conditions: [56.0, 72.0]",
        "The model implements where it should escalate.",
        "latest-small",
        "100004",
        "abc123",
        "movielens_ratings",
        "passed",
        "the averages differ by less than 0.05",
        "PREDICTION: 1",
        "0123abc",
        "query.interventions",
    ):
        assert expected in page.text, expected
    assert "interventions at R = 4." not in page.text
    assert "svg" in page.tags


def test_page_loads_no_external_files(profile: dict[str, Any], tmp_path: Path) -> None:
    text = written([profile, profile | {"model": "other"}], tmp_path / "index.html")
    page = Page(text)
    assert page.references
    assert all(reference.startswith("#") for reference in page.references)
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "img", "base"}
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    assert "interventions at R = 4." in page.text


def test_hostile_texts_are_escaped(profile: dict[str, Any], tmp_path: Path) -> None:
    texts = ("prompt", "prediction_text", "decision_prompt")
    hostile = dict.fromkeys(texts, HOSTILE + SURROGATE)
    profile["model"] = HOSTILE
    profile["curve"][0] |= {"domain": HOSTILE, "condition": HOSTILE}
    text = written(
        [profile, copy.deepcopy(profile)],
        tmp_path / "index.html",
        samples=[dialogue(**hostile, condition=HOSTILE, decision_text=None, escalate=None)],
        provenance=[{**PROVENANCE, "domain": HOSTILE, HOSTILE: HOSTILE}],
        validation=[{"stage": "raw", **SUITE, "table": HOSTILE, "success": False}],
    )
    page = Page(text)
    assert not page.tags & {"script", "img"}
    assert not page.handlers
    assert all(reference.startswith("#") for reference in page.references)
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    for mark in "\x1b\x07\u202e\u2066\u2069\u200b":
        assert mark not in text
    assert "⟨U+202E⟩gnp.exe" in text
    assert "no action" in page.text
    assert "failed" in page.text


def test_page_of_undefined_numbers(profile: dict[str, Any], tmp_path: Path) -> None:
    profile["implicit_threshold"] = thresholds(UNIDENTIFIED, EXTRAPOLATED)
    profile["self_estimated_accuracy"] = bounded(NULL) | {"n_clipped": 0}
    profile["calibration_bias"] = bounded(NULL)
    profile["statuses"] |= {"ok": 0, "forced": 1500}
    for row in profile["interventions"]:
        row |= dict.fromkeys(("escalation_accuracy", "selective_risk", "regret"), bounded(NULL))
    other = profile | {"model": "other", "interventions": [], "curve": []}
    content = ReportContent(
        profiles=[typed(profile), typed(other)], cost_ratio=4.0, force_answer=True
    )
    path = tmp_path / "index.html"
    write_report(content, path)
    page = Page(path.read_text(encoding="utf-8"))
    assert "Forced answers are allowed in this run" in page.text
    assert "unidentified" in page.text
    assert "not scored at this ratio" in page.text
    assert "No suite has been run." in page.text
    assert not re.search(r"\b(None|nan)\b", page.text.replace("None were", ""))


def test_page_is_the_same_bytes(profile: dict[str, Any], tmp_path: Path) -> None:
    assert written([profile], tmp_path / "a.html") == written([profile], tmp_path / "b.html")


# ---------------------------------------------------------------- the stage


@pytest.fixture
def project(profile: dict[str, Any], tmp_path: Path) -> Path:
    data = tmp_path / "data"
    documents: dict[str, Any] = {
        "profiles/smollm2-135m-instruct/profile.json": profile,
        "raw/movielens/provenance.json": PROVENANCE,
        **{
            f"validation/{stage_name}.json": {"validated": stage_name, "tables": [SUITE]}
            for stage_name in ("raw", "scenarios", "decisions")
        },
    }
    for name, document in documents.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(json.dumps(document), encoding="utf-8")
    rows = [dialogue(scenario_id=f"s{i:02}", prompt=f"scenario {i:02}") for i in range(20)]
    rows += [
        dialogue(scenario_id=f"s{i:02}", status="refused", prediction=None, escalate=None)
        for i in range(20, 23)
    ]
    write_table(rows, DECISIONS, data / "decisions/smollm2-135m-instruct/movielens.parquet")
    write_table([CONDITION], CONDITIONS, data / "scenarios/movielens/conditions.parquet")
    return tmp_path


PARAMS = Params.model_validate(
    {"seed": 1, "models": ["smollm2-135m-instruct"], "domains": ["movielens"]}
)


def test_stage_writes_the_page(project: Path) -> None:
    path = stage.run(PARAMS, project)
    assert path == project / "data" / "report" / "index.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert "scenario 00" in page.text
    assert "scenario 01" not in page.text
    assert "refused" in page.text
    assert re.search(r"movielens_0 52% 50\.0% 70\.0% \[60\.0, 80\.0\] 20 3", page.text)
    before = path.read_bytes()
    stage.run(PARAMS, project)
    assert path.read_bytes() == before
    elsewhere = stage.run(PARAMS, project, project / "out")
    assert elsewhere.read_bytes() == before


def test_stage_shows_adapters_that_were_evaluated(project: Path) -> None:
    path = project / "data" / "probes" / "careful" / "probes.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(grown_probes()), encoding="utf-8")
    page = Page(stage.run(PARAMS, project).read_text(encoding="utf-8"))
    assert "careful from smollm2-135m-instruct" in page.text
    assert re.search(
        r"held-out domain 20, 4 35\.0% \[18\.1, 56\.7\] 95\.0% \[76\.4, 99\.1\]", page.text
    )


def test_stage_names_absent_and_broken_files(project: Path) -> None:
    path = project / "data/profiles/smollm2-135m-instruct/profile.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"profile\.json is not JSON"):
        stage.run(PARAMS, project)
    path.unlink()
    with pytest.raises(DataError, match=r"profile\.json does not exist; run `dvc repro`"):
        stage.run(PARAMS, project)


def test_conditions_without_a_usable_dialogue_get_their_row(
    profile: dict[str, Any], project: Path
) -> None:
    lost = [
        dialogue(condition="lost", status="error", prediction=None, escalate=None, scenario_id=name)
        for name in ("a", "b")
    ]
    data = project / "data"
    write_table(lost, DECISIONS, data / "decisions/smollm2-135m-instruct/movielens.parquet")
    rows = [CONDITION, CONDITION | {"condition": "lost", "signal_accuracy": 0.66}]
    write_table(rows, CONDITIONS, data / "scenarios/movielens/conditions.parquet")
    page = Page(stage.run(PARAMS, project).read_text(encoding="utf-8"))
    assert "lost 66% — — — 0 2" in page.text


# ---------------------------------------------------------------- data status


def test_a_narrow_terminal_shows_all_numbers() -> None:
    entry = {
        "domain": "d",
        "title": "D",
        "is_present": True,
        "problem": None,
        "edition": "raw",
        "is_derived": False,
        "release": "r",
        "decisions_of": "people",
        "licence": "l",
        "files": [{"file": "f.csv", "n_rows": 1234567, "sha256": "0" * 64}],
        "n_cases": 1234567,
        "n_scenarios": 1234567,
        "conditions": [
            {
                "condition": "a_condition_whose_name_is_far_longer_than_any_column_can_be",
                "n_all": 1234567,
                "percent_all": 55.45,
                "n_signal": 654321,
                "percent_signal": 50.0,
                "percent_published": 54,
                "is_far": True,
            }
        ],
        "notes": [],
    }
    console = Console(file=io.StringIO(), width=80, highlight=False)
    print_status([entry], console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line) for line in text.splitlines()) <= 80
    for number in ("1,234,567", "55.45", "654,321", "50.00", " 54 ", "! 4.0 points off"):
        assert number in text
