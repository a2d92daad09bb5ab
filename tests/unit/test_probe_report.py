from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from escalometer.documents import Probes
from escalometer.reporting.page import ReportContent, write_report
from escalometer.reporting.probe_figure import probes_svg
from escalometer.reporting.probe_rows import grid_rows, mistake_rows, probe_rows, published_rows
from escalometer.reporting.probe_text import print_probes, probes_text
from escalometer.training.chains import MISTAKES
from escalometer.training.probe_cells import PROBES
from tests.unit.grown_probes import grown_probes


@pytest.fixture(scope="module")
def probes() -> Probes:
    return Probes.model_validate(grown_probes())


def flat(text: str) -> str:
    return " ".join(text.split())


def test_every_probe_has_its_row_and_the_wrong_signal_two(probes: Probes) -> None:
    rows = probe_rows(probes)
    assert [row.probe.probe for row in rows] == [
        *PROBES[: PROBES.index("wrong_signal")],
        *["wrong_signal"] * 2,
        *PROBES[PROBES.index("wrong_signal") + 1 :],
    ]
    held_out = rows[1]
    assert held_out.probe.base.n_right == 7  # of 20, that implement at 90%
    assert held_out.probe.tuned.n_right == 19
    assert held_out.probe.always_escalate == pytest.approx(13 / 20)
    assert held_out.worst == "wrong product (1)"
    follows, against = (row for row in rows if row.probe.probe == "wrong_signal")
    assert follows.probe.tuned.n_right + against.probe.tuned.n_right == 20
    assert against.worst == ""


def test_the_text_fits_into_100_columns_and_says_what_is_asked_of_it(
    probes: Probes,
) -> None:
    text = probes_text(probes)
    assert max(map(len, text.splitlines())) <= 100
    line = next(line for line in text.splitlines() if line.startswith("held-out domain"))
    assert flat(line) == "held-out domain 20 35.0% 95.0% [76.4, 99.1] 0 wrong product (1)"
    assert "signal removed" in text
    assert "invented percentage (6)" in text
    one_line = flat(text)
    assert (
        "of the two fixed policies, always escalating and always implementing: on the held-out "
        in one_line
    )
    assert "65.0% and 35.0%, on the trained ones in 65.0% and 35.0%." in one_line
    assert "First turn: accuracy 50.0%" in one_line
    assert "The dialogues of a probe are about 4 scenarios." in one_line
    first, second, *_ = probes.probes
    fewer = (first.model_copy(update={"n_scenarios": 2}), second)
    text_of_fewer = probes_text(probes.model_copy(update={"probes": fewer}))
    assert "are about 2 to 4 scenarios." in flat(text_of_fewer)
    assert "180 of the base model (budget: 16 tokens per answer)" in one_line
    assert "Qwen3.5-4B 95.7% overall, 96.7% held-out domain" in one_line
    stream = io.StringIO()
    print_probes(probes, stream)
    assert stream.getvalue() == text


def test_mistakes_are_counted_by_kind(probes: Probes) -> None:
    rows = mistake_rows(probes)
    assert len(rows) == len(PROBES)
    assert list(rows[0].tuned) == list(MISTAKES)
    by_label = {row.label: row for row in rows}
    assert by_label["wrong signal"].tuned["misread_percentage"] == 2
    assert by_label["held-out domain"].base["no_chain"] == 20


def test_the_grid_has_both_models_in_its_margins(probes: Probes) -> None:
    rows = grid_rows(probes)
    assert [(row.by, row.name, row.n) for row in rows] == [
        ("domain", "lending_club", 20),
        ("domain", "movielens", 40),
        ("condition", "lending_club: a", 20),
        ("condition", "movielens: a", 40),
        ("cost ratio", "R = 4", 60),
        ("wording", "ratio", 60),
    ]
    assert rows[1].base.estimate == pytest.approx(14 / 40)
    assert rows[1].tuned.estimate == pytest.approx(37 / 40)


def test_ours_stands_below_the_published_ones(probes: Probes) -> None:
    *published, ours = published_rows(probes)
    assert [row.overall for row in published] == ["close to 100% of cells", "95.7%", "87.3%"]
    assert [row.held_out for row in published] == ["—", "96.7%", "89.2%"]
    assert ours.overall == "97.5%"  # 39 of 40
    assert ours.held_out.startswith("95.0% [")
    assert [row.no_signal for row in published] == [None] * 3  # published for no single one
    assert (ours.no_signal or "").startswith("70.0% [")


def test_the_picture_is_the_same_each_time_and_well_formed(probes: Probes) -> None:
    drawn = probes_svg(probes, "x-")
    assert drawn == probes_svg(probes, "x-")
    root = ET.fromstring(drawn)  # noqa: S314
    assert all(e.get("id", "x-").startswith("x-") for e in root.iter())
    assert "untrained cost ratios" in drawn


def test_the_page_has_a_section_where_there_is_an_adapter(probes: Probes, tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    write_report(ReportContent(profiles=[], cost_ratio=4.0), page)
    assert "Fine-tuned" not in page.read_text("utf-8")
    hostile = grown_probes(adapter='<b onload="x">', targets="label")
    both = [probes, Probes.model_validate(hostile)]
    write_report(ReportContent(profiles=[], cost_ratio=4.0, probes=both), page)
    text = page.read_text("utf-8")
    assert "<b onload" not in text
    assert text.count("<svg") == 2
    assert text.count("a negative control") == 1
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for word in ("arXiv 2604.08588", "96.7%", "decision against its conclusion", "careful"):
        assert word in text


def test_a_probe_that_was_left_out_has_no_row(probes: Probes) -> None:
    ties = tuple(probe for probe in probes.probes if probe.probe == "ties")
    few = probes.model_copy(update={"probes": ties})
    assert [row.probe.probe for row in probe_rows(few)] == ["ties"]
    assert published_rows(few)[-1].held_out == "—"
    assert "ties" in probes_text(few)
    assert "<svg" in probes_svg(few)
