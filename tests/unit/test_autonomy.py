"""The autonomy map: what bounds say, which variant it is of, and how it is shown."""

from __future__ import annotations

import io
import json
from fractions import Fraction

import jsonschema
import numpy as np
import pytest

from escalometer.analysis.autonomy import autonomy_maps, autonomy_rows
from escalometer.analysis.profile import build_profile
from escalometer.config import AnalyzeParams, Params
from escalometer.reporting.autonomy_rows import autonomy_at, autonomy_words, counted
from escalometer.reporting.page import ReportContent, write_report
from escalometer.reporting.policy_text import policy_text, print_policy, rule_words
from escalometer.reporting.profile_text import profile_text
from escalometer.reporting.summary_text import summary_text
from tests.conftest import ROOT
from tests.releases import release, table
from tests.unit.policy_files import exported, scored_rows

THRESHOLD = Fraction(3, 4)


def _words(k: int, n: int, threshold: Fraction = THRESHOLD) -> str:
    [row] = autonomy_rows([("d", "c")], [(k, n)], threshold)
    return autonomy_words(row)


@pytest.mark.parametrize(
    ("k", "n", "words"),
    [
        (100, 100, "act"),
        (90, 100, "act"),
        (0, 3, "escalate"),
        (60, 100, "escalate"),
        (75, 100, "not enough evidence (accuracy at the threshold)"),
        (0, 1, "not enough evidence (2 more dialogues)"),
        (1, 1, "not enough evidence (10 more dialogues)"),
    ],
)
def test_bounds_decide(k, n, words):
    assert _words(k, n) == words


def test_a_bound_at_the_threshold_acts():
    # With all of n right, the lower bound is 0.05 ** (1 / n): here above and below τ*.
    assert _words(10, 10, Fraction(74, 100)) == "act"
    assert _words(10, 10, Fraction(75, 100)).startswith("not enough evidence")
    assert _words(0, 1, Fraction(0)) == "act"  # acting is never more expensive
    assert _words(0, 1, Fraction(-1, 2)) == "act"


def test_bounds_err_as_rarely_as_they_say():
    """Conditions exactly at, or just below, the threshold are rarely called act."""
    rng = np.random.default_rng(3)
    for accuracy in (0.75, 0.9, 0.98):
        threshold = Fraction(str(accuracy))
        drawn = rng.binomial(120, accuracy, 4000)
        by_count = autonomy_rows([("d", "c")] * 121, [(k, 120) for k in range(121)], threshold)
        wrong = sum(by_count[k].autonomy == "act" for k in drawn) / 4000
        assert wrong <= 0.05 + 2.6 * (0.05 * 0.95 / 4000) ** 0.5


def _profile(**stated):
    rows = table(release("m", n=60, domains=("movielens",), **stated))
    params = Params(
        seed=1,
        models=("m",),
        domains=("movielens",),
        analyze=AnalyzeParams(cost_ratios=(4.0, 10.0), n_bootstrap=100),
    )
    return build_profile(rows, "m", "test", params)


def test_a_profile_has_a_map_at_each_cost_ratio_and_shows_it(tmp_path):
    profile = _profile()
    assert [found.cost_ratio for found in profile.autonomy] == [4.0, 10.0]
    found = autonomy_at(profile, 4.0)
    assert found is not None and found.intervention == "baseline"
    assert [row.n for row in found.conditions] == [60] * 8
    points = {point.condition: point for point in profile.curve}
    for row in found.conditions:
        assert row.n_right / row.n == pytest.approx(points[row.condition].predictive_accuracy)
    text = profile_text(profile, 4.0)
    assert "Autonomy map at R = 4" in text and counted(found.conditions) in " ".join(text.split())
    assert counted(found.conditions) in " ".join(summary_text(profile, 4.0).split())
    write_report(ReportContent(profiles=[profile], cost_ratio=4.0), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "<h3>Autonomy map</h3>" in page
    for row in found.conditions:
        assert f"<td>{autonomy_words(row)}</td>" in page
    assert autonomy_at(profile, 3.0) is None
    assert "Autonomy map" not in profile_text(profile, 3.0)


def test_without_a_baseline_the_map_is_of_what_states_the_ratio():
    profile = _profile(intervention="cost_framing", cost_ratio=4.0, framing="ratio")
    assert [(m.cost_ratio, m.intervention) for m in profile.autonomy] == [(4.0, "cost_framing")]
    assert autonomy_maps((), (), [4.0], 0.0) == ()


def test_an_exported_policy_satisfies_its_schema_and_reads_as_text():
    document = exported(scored_rows())
    checked = json.loads((ROOT / "docs" / "schemas" / "policy.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(checked).validate(document.as_json())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(checked).validate({**document.as_json(), "more": 1})
    text = " ".join(policy_text(document).split())
    assert f"Rule: {rule_words(document)}." in text and "this policy" in text
    for row in document.conditions:
        assert row.condition in text


def test_the_text_of_a_policy_is_plain_on_any_terminal():
    rows = scored_rows()
    for row in rows:
        row["condition"] = row["condition"].replace("c1", "c1\x1b[31m")
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    print_policy(exported(rows), stream, is_full=True)
    stream.seek(0)
    assert "\x1b" not in stream.read()
