"""Policies: the file, every way to decide, ties, hostile input, and what is chosen."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escalometer import policy as module
from escalometer.analysis.policy_choice import Limits
from escalometer.analysis.policy_document import _dialogues
from escalometer.analysis.policy_rules import Rule, candidates, fitted
from escalometer.policy import Policy, PolicyError, digest, load, loads
from tests.conftest import ROOT
from tests.unit.policy_files import NOW, by_hand, exported, scored_rows, signed

KNOWN = {"condition": "tied", "model": "m", "now": NOW}


class _Hostile:
    """Raises at whatever it is asked."""

    def _raise(self, *_: Any) -> Any:
        raise RuntimeError("hostile")

    __eq__ = __hash__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __float__ = _raise
    __str__ = __repr__ = __len__ = __iter__ = __getattr__ = __instancecheck__ = _raise
    __class__ = property(_raise)


class _Float(float):
    def __le__(self, other: Any) -> bool:
        raise RuntimeError("hostile")

    __ge__ = __lt__ = __gt__ = __le__


class _Text(str):
    def __hash__(self) -> int:
        raise RuntimeError("hostile")


HOSTILE = (
    *(None, True, False, "", "0.9", b"0.9", [], {}, (), object(), _Hostile(), _Text("tied")),
    *(
        float("nan"),
        float("inf"),
        -float("inf"),
        1.2,
        -0.1,
        10**400,
        -(10**400),
        1j,
        Fraction(1, 2),
    ),
    *(np.float64("nan"), np.float64(1.5), np.array([0.9]), "\ud800", "x" * 10_000),
)


# --- deciding ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decides", "score", "confidence", "own", "action"),
    [
        ("own", None, None, "implement", "act"),
        ("own", None, None, "act", "act"),
        ("own", None, None, 0, "act"),
        ("own", None, None, 1, "escalate"),
        ("own", None, None, "escalate", "escalate"),
        ("own", None, None, None, "escalate"),
        ("own", None, None, True, "escalate"),
        ("external", "stated_confidence", 0.49, None, "escalate"),
        ("external", "stated_confidence", 0.5, None, "act"),  # 3 of 4 is 3/4: a tie acts
        ("external", "stated_confidence", 1, None, "act"),
        ("external", "stated_confidence", 0.9, "escalate", "act"),
        ("external", "stated_confidence", 0.9, "what", "escalate"),
        ("external", "stated_confidence", None, "implement", "escalate"),
        ("external", "condition_accuracy", None, None, "act"),
        ("own_and_external", "stated_confidence", 0.9, "implement", "act"),
        ("own_and_external", "stated_confidence", 0.9, "escalate", "escalate"),
        ("own_and_external", "stated_confidence", 0.1, "implement", "escalate"),
        ("own_and_external", "stated_confidence", 0.9, None, "escalate"),
        ("own_or_external", "stated_confidence", 0.1, "implement", "act"),
        ("own_or_external", "stated_confidence", 0.9, "escalate", "act"),
        ("own_or_external", "stated_confidence", 0.1, "escalate", "escalate"),
        ("own_or_external", "stated_confidence", None, "implement", "escalate"),
        ("always_escalate", None, 0.9, "implement", "escalate"),
    ],
)
def test_every_rule_decides_as_it_says(decides, score, confidence, own, action):
    found = by_hand(decides, score).decide(confidence=confidence, own_action=own, **KNOWN)
    assert found.action == action and found.reason


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "other"}, "not for this model"),
        ({"model": None}, "not for this model"),
        ({"version": "m-2025"}, "version"),
        ({"prompt_digest": "sha256:other"}, "prompts"),
        ({"condition": "never seen"}, "no evidence of it"),
        ({"condition": None}, "condition is missing"),
        ({"condition": "d/never seen"}, "no evidence"),
        ({"condition": "tied", "domain": 1}, "no evidence"),
        ({"condition": "twice"}, "several domains"),
        ({"condition": "tied", "domain": "e"}, "no evidence"),
        ({"confidence": 1.2}, "from 0 to 1"),
        ({"confidence": float("nan")}, "from 0 to 1"),
        ({"now": datetime(2027, 1, 1, tzinfo=UTC)}, "expired"),
        ({"now": datetime(2026, 12, 1)}, "expired at .*, or the moment is not valid"),
        ({"now": float("nan")}, "not valid"),
        ({"now": NOW - timedelta(days=2)}, "the clock is before"),
    ],
)
def test_whatever_is_unknown_escalates(given, words):
    found = by_hand("own", None)
    values = {**KNOWN, "own_action": "implement", "confidence": 0.99}
    assert found.decide(**values).action == "act"
    decision = found.decide(**{**values, **given})
    assert decision.action == "escalate"
    assert re.search(words, decision.reason)


def test_names_that_answered_versions_prompts_and_domains_are_known():
    found = by_hand("own", None)
    values = {**KNOWN, "own_action": "implement"}
    for more in (
        {"model": "m-2026"},
        {"version": "m-2026"},
        {"prompt_digest": "sha256:p"},
        {"condition": "d/tied"},
        {"condition": "twice", "domain": "e"},
        {"now": NOW.timestamp()},
        {"now": datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)},
    ):
        assert found.decide(**{**values, **more}).action == "act", more


def test_names_with_slashes_are_not_mistaken_for_each_other():
    rows = [
        {"domain": "a", "condition": "b/c", "fitted": [9, 10]},
        {"domain": "a/b", "condition": "c", "fitted": [1, 10]},
    ]
    found = by_hand("external", "condition_accuracy", conditions=rows)
    assert "several" in found.decide("a/b/c", model="m", now=NOW).reason
    for condition, domain, action in (
        ("b/c", None, "act"),
        ("c", None, "escalate"),
        ("b/c", "a", "act"),
        ("c", "a/b", "escalate"),
        ("c", "a", "escalate"),
    ):
        assert found.decide(condition, model="m", domain=domain, now=NOW).action == action
    with pytest.raises(PolicyError, match="twice"):
        by_hand(conditions=rows[:1] * 2)


def test_ties_of_conditions_are_exact():
    found = by_hand("external", "condition_accuracy")
    actions = {
        name: found.decide(**{**KNOWN, "condition": name}).action
        for name in ("tied", "below", "unfitted")
    }
    assert actions == {"tied": "act", "below": "escalate", "unfitted": "escalate"}
    reason = found.decide(**{**KNOWN, "condition": "below"}).reason
    assert reason == "the accuracy of d/below, 74 of 100, is below the threshold 3/4 (75.0%)"


@pytest.mark.parametrize(("ratio", "right", "n"), [(20, 19, 20), (50, 49, 50), (3, 2, 3)])
def test_ties_that_floats_miss_act(ratio, right, n):
    threshold = (ratio - 1, ratio)
    found = by_hand(threshold=threshold, starts=(), counts=((right, n),))
    assert found.decide(confidence=0.3, **KNOWN).action == "act"
    one_less = by_hand(threshold=threshold, starts=(), counts=((right * 10**9 - 1, n * 10**9),))
    assert one_less.decide(confidence=0.3, **KNOWN).action == "escalate"


def test_numpy_numbers_are_numbers_and_others_are_not():
    found = by_hand()
    assert found.decide(confidence=np.float64(0.9), **KNOWN).action == "act"
    assert found.decide(confidence=np.float64(1.2), **KNOWN).action == "escalate"
    assert found.decide(confidence=_Float(0.9), **KNOWN).action == "act"
    assert found.decide(confidence=np.float32(0.9), **KNOWN).action == "escalate"


@pytest.mark.parametrize("place", range(len(HOSTILE)))  # pytest itself looks into values
@pytest.mark.parametrize(
    "name",
    ["condition", "confidence", "own_action", "model", "domain", "version", "prompt_digest", "now"],
)
@pytest.mark.parametrize("decides", ["own", "external", "own_or_external", "always_escalate"])
def test_hostile_input_raises_nothing(decides, name, place):
    value = HOSTILE[place]
    rule = by_hand(decides, "stated_confidence" if "external" in decides else None)
    values = {**KNOWN, "confidence": 0.9, "own_action": "implement"}
    found = rule.decide(**{**values, name: value})
    is_default = value is None and name in ("domain", "version", "prompt_digest", "now")
    is_unread = value is None and (name, decides) in (
        ("confidence", "own"),
        ("own_action", "external"),
    )
    if not (is_default or is_unread or decides == "always_escalate"):
        assert found.action == "escalate", (name, found)
    assert type(found.reason) is str


_ANY = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3)
)


@settings(max_examples=300)
@given(st.sampled_from(["own", "external", "own_and_external", "own_or_external"]), st.data())
def test_nothing_acts_but_what_is_valid(decides, data):
    found = by_hand(decides, None if decides == "own" else "stated_confidence")
    confidence, own, model = (data.draw(_ANY) for _ in range(3))
    known = data.draw(st.sampled_from(["tied", "unknown"]))
    decision = found.decide(known, confidence, own, model, now=NOW)
    if decision.action == "act":
        assert model in ("m", "m-2026") and known == "tied"
        assert confidence is None or (not isinstance(confidence, bool) and 0 <= confidence <= 1)


# --- the file ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """A policy of generated decisions."""
    return exported(scored_rows()).as_json()


def test_a_file_is_read_back_and_any_edit_is_refused(tmp_path, document):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(document, indent=3), "utf-8")
    assert load(path).content == document
    edited = copy.deepcopy(document)
    edited["rule"]["decides"] = "own"
    for changed in (edited, {**document, "more": 1}, {**document, "digest": "sha256:0"}):
        path.write_text(json.dumps(changed), "utf-8")
        with pytest.raises(PolicyError, match=r"policy\.json: its digest does not match.*export"):
            load(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("[]", "not a JSON object"),
        ("{}", "its format is not"),
        ('{"format": "escalometer policy", "format_version": 2}', "reads 1: update it"),
        ('{"format": "escalometer policy", "format_version": true}', "no number"),
        ('{"format": "escalometer policy", "format_version": 1}', "digest does not match"),
        ('{"a": 1, "a": 2}', "a key is there twice"),
        ('{"a": NaN}', "no number of JSON"),
        ("[" * 100_000, "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        ('{"format": "escalometer policy", "format_version": 1, "a": "\\ud800"}', "no digest"),
    ],
)
def test_other_files_are_refused_with_a_reason(text, words):
    with pytest.raises(PolicyError, match=words):
        loads(text)


@pytest.mark.parametrize(
    "change",
    [
        {"conditions": [{"domain": "d", "condition": "c", "fitted": [3, 2]}]},
        {"conditions": None},
        {"expires_at": "soon"},
        {"expires_at": None},
        {"expires_at": "2027-01-01T00:00:00"},
        {"resolved_models": [1]},
        {"rule": {"decides": "always_act", "score": None}},
        {
            "rule": {
                "decides": "external", "score": "stated_confidence", "reason": "",
                "threshold": {"numerator": 1, "denominator": 0},
                "steps": {"starts": [], "counts": [[1, 1]]},
            }
        },
        {
            "rule": {
                "decides": "external", "score": "stated_confidence", "reason": "",
                "threshold": {"numerator": 1, "denominator": 2},
                "steps": {"starts": [0.9, 0.1], "counts": [[1, 1]] * 3},
            }
        },
    ],
)  # fmt: skip
def test_content_that_cannot_decide_is_refused_although_its_digest_matches(change, document):
    with pytest.raises(PolicyError, match="not that of a policy"):
        signed(document, **change)


def test_the_digest_does_not_depend_on_order_or_spaces(document):
    other = json.loads(json.dumps(dict(reversed(document.items())), indent=7))
    assert digest(other) == document["digest"]


def test_the_module_needs_the_standard_library_alone(tmp_path):
    copied = tmp_path / "service" / "decider.py"
    copied.parent.mkdir()
    copied.write_text((ROOT / "escalometer" / "policy.py").read_text("utf-8"), "utf-8")
    for folder, name in ((ROOT, "escalometer.policy"), (copied.parent, "decider")):
        code = (
            f"import sys; before = set(sys.modules); sys.path.insert(0, {str(folder)!r});"
            f"import {name}; new = {{m.partition('.')[0] for m in set(sys.modules) - before}};"
            "print(sorted(new - set(sys.stdlib_module_names)))"
        )
        done = subprocess.run(
            [sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True
        )
        own = name.partition(".")[0]
        assert done.stdout.strip() == repr([own]), done.stderr


def test_deciding_takes_microseconds():
    import timeit

    found = by_hand("own_and_external")
    calls = 20_000
    best = min(
        timeit.repeat(lambda: found.decide("tied", 0.9, "implement", "m"), number=calls, repeat=3)
    )
    assert best / calls < 50e-6


def test_a_million_calls_of_all_kinds_of_input_decide_as_one_does():
    rule = by_hand("own_and_external")
    calls = [
        {**KNOWN, "confidence": confidence, "own_action": own, "condition": condition}
        for confidence in (0.0, 0.49, 0.5, 0.9, 1, *HOSTILE)
        for own in ("implement", "escalate", 0, 1, *HOSTILE[:8])
        for condition in ("tied", "unfitted", "never seen")
    ]
    first = [rule.decide(**call) for call in calls]
    assert {decision.action for decision in first} == {"act", "escalate"}
    decide = rule.decide
    for _ in range(-(-1_000_000 // len(calls))):
        assert [decide(**call) for call in calls] == first


# --- what is chosen ----------------------------------------------------------------------------


def test_the_file_decides_as_the_analysis_counted(document):
    rows = scored_rows()
    dialogues, found = _dialogues(rows), Policy(document)
    parts = dialogues.parts(1)
    rule = document["rule"]
    threshold = rule["threshold"]
    chosen = Rule(
        rule["decides"],
        rule["score"],
        threshold and Fraction(threshold["numerator"], threshold["denominator"]),
    )
    expected = fitted(parts[0]).acts(chosen, dialogues)
    actions = [
        found.decide(
            row["condition"], row["stated_confidence"], row["escalate"], "m", now=NOW
        ).action
        for row in rows
    ]
    assert [action == "act" for action in actions] == expected.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_every_candidate_decides_as_the_analysis_counted(seed, document):
    rows = scored_rows(n=30, seed=seed)
    for row in rows[::7]:
        row["stated_confidence"] = None
    dialogues = _dialogues(rows)
    found = fitted(dialogues.parts(seed)[0])
    for rule in candidates(found, Fraction(3, 4), has_limits=True)[::5]:
        steps = found.steps.get(rule.score)
        content = copy.deepcopy(document)
        content["rule"] |= {
            "decides": rule.decides,
            "score": rule.score,
            "threshold": None
            if rule.threshold is None
            else {
                "numerator": rule.threshold.numerator,
                "denominator": rule.threshold.denominator,
            },
            "steps": steps and {"starts": list(steps.starts), "counts": list(steps.counts)},
        }
        for row in content["conditions"]:
            row["fitted"] = found.counts.get((row["domain"], row["condition"]), (0, 0))
        policy = signed(content)
        acts = found.acts(rule, dialogues)
        for row, is_acting in zip(rows, acts.tolist(), strict=True):
            score = row["stated_confidence"]
            own, name = row["escalate"], row["condition"]
            assert (policy.decide(name, score, own, "m", now=NOW).action == "act") == is_acting


def test_an_informative_score_is_preferred_and_costs_less_than_every_other_policy(document):
    assert document["rule"]["score"] == "stated_confidence"
    rows = {row["policy"]: row for row in document["held_out"]["policies"]}
    assert set(rows) == {"exported", "model", "always_act", "always_escalate"}
    for name, row in rows.items():
        if name != "exported":
            assert row["cost"]["estimate"] > rows["exported"]["cost"]["estimate"]
            assert row["difference"]["low"] > 0, name


def test_parts_do_not_share_a_scenario_and_have_all_dialogues():
    dialogues = _dialogues(scored_rows())
    parts = dialogues.parts(3)
    assert sum(map(len, parts)) == len(dialogues)
    names = [set(part.scenario) for part in parts]
    assert not (names[0] & names[1] or names[1] & names[2] or names[0] & names[2])


def test_limits_that_nothing_keeps_export_always_escalate():
    found = exported(scored_rows(n=40), limits=Limits(max_wrong_rate=0.0001))
    assert found.rule.decides == "always_escalate" and found.requirements.is_met
    assert "none of" in found.rule.reason and any("escalates every" in n for n in found.notes)
    both = Limits(max_wrong_rate=0.0001, max_escalations_share=0.1)
    found = exported(scored_rows(n=40), limits=both)
    assert found.rule.decides == "always_escalate" and not found.requirements.is_met
    assert any("exceeds the capacity" in note for note in found.notes)


def test_limits_are_kept_where_something_keeps_them():
    limits = Limits(max_wrong_rate=0.15, max_escalations_share=0.9)
    found = exported(scored_rows(n=250), limits=limits)
    assert found.requirements.n_qualified > 0 and found.rule.decides != "always_escalate"
    assert found.requirements.p_value is not None and found.requirements.p_value <= 0.05


def test_too_few_dialogues_escalate():
    found = exported(scored_rows(n=5))
    assert found.rule.decides == "always_escalate"
    assert "are needed" in found.rule.reason


def test_a_policy_has_digests_that_follow_what_they_are_of(document):
    rows = scored_rows()
    assert exported(rows[::-1]).digests == exported(rows).digests
    rows[0]["label"] = 1 - rows[0]["label"]
    assert exported(rows).digests.data != document["digests"]["data"]
    rows = scored_rows()
    rows[0]["prompt"] = "Task.\n\nAnother task"
    assert exported(rows).digests.prompts != document["digests"]["prompts"]
    wordings = ["Task.\n\nPREDICTION".rpartition("\n\n")[2]]
    assert document["digests"]["prompts"] == module.prompts_digest(wordings)


def test_h_enters_the_threshold_and_the_cost():
    found = exported(scored_rows(), ratio=4, h=0.1)
    assert (found.optimal_threshold.numerator, found.optimal_threshold.denominator) == (13, 20)
    assert found.held_out is not None
    escalate = next(p for p in found.held_out.policies if p.policy == "always_escalate")
    assert escalate.cost.estimate == pytest.approx(1.4)


def test_expiry_is_that_of_the_export(document):
    assert datetime.fromisoformat(document["expires_at"]) == NOW + timedelta(days=90)
    assert Policy(document).decide(
        "c7", 0.9, "implement", "m", now=NOW + timedelta(days=90)
    ).action == ("escalate")


def test_paths_are_as_given(tmp_path):
    with pytest.raises(OSError, match="nothing"):
        load(Path(tmp_path / "nothing.json"))
