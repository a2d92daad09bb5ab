"""The ledger: rows, retries, several writers, refusals; estimates and alarm of its document."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from escalometer import ledger as ledger_module
from escalometer.analysis.ledger_results import promised_wrong_rate, summarize
from escalometer.analysis.ledger_sample import equal_sample
from escalometer.errors import DataError
from escalometer.ledger import DecidedCase, Ledger, LedgerError, Outcome
from escalometer.policy import Decision, Policy
from tests.unit.policy_files import exported, scored_rows

T0 = "2026-11-01T10:00:00.000000+00:00"
T1 = "2026-11-02T10:00:00.000000+00:00"


def case(name: str, decision: str = "act", audited: bool = False, **about: Any) -> DecidedCase:
    rate = 1.0 if decision == "escalate" else 0.25
    row = DecidedCase(name, "sha256:p", T0, "m", "d", "c", decision, "why", rate, audited, 1)
    return row._replace(**about)


class TestRows:
    def test_a_retry_gets_the_row_that_is_there_and_the_same_audit(self, tmp_path):
        document = exported(scored_rows())
        policy = Policy(document.model_copy(update={"audit_rate": 0.5, "digest": ""}).as_json() | {
            "digest": _digest(document, 0.5)
        })  # fmt: skip
        about = {"model": "m", "domain": "movielens", "condition": "c7", "prediction": 1}
        ledger = Ledger(tmp_path / "l.sqlite")
        act = Decision("act", "sure")
        first = [ledger.record(policy, act, case_id=f"k{i}", **about) for i in range(200)]
        again = [Ledger(ledger.path).record(policy, act, case_id=f"k{i}", **about)
                 for i in range(200)]  # fmt: skip
        assert first == again == list(ledger.decisions())
        assert 70 <= sum(row.is_audited for row in first) <= 130
        assert {row.propensity for row in first} == {0.5}
        assert all(row.needs_person == row.is_audited for row in first)
        escalated = ledger.record(policy, Decision("escalate", "no"), case_id="e", **about)
        assert escalated.propensity == 1 and escalated.needs_person and not escalated.is_audited
        with pytest.raises(LedgerError, match="'k0' is in the ledger with another decision"):
            ledger.record(policy, Decision("escalate", "no"), case_id="k0", **about)

    def test_the_same_rows_twice_are_there_once_in_any_order_of_time(self, tmp_path):
        ledger = Ledger(tmp_path / "l.sqlite")
        late, early = case("a", time=T1), case("b")
        assert ledger.add([late, early]) == 2
        assert ledger.add([early, late, case("z")]) == 1
        assert ledger.join([Outcome("b", 1, T1)]) == 1
        assert ledger.join([Outcome("b", 1, T1), Outcome("a", 0, T1)]) == 1
        assert [row.case_id for row in ledger.decisions()] == ["a", "b", "z"]

    def test_rows_are_never_changed(self, tmp_path):
        ledger = Ledger(tmp_path / "l.sqlite")
        ledger.add([case("a")])
        connection = sqlite3.connect(ledger.path)
        for statement in ("update decisions set label = 1", "delete from decisions"):
            with pytest.raises(sqlite3.DatabaseError):
                connection.execute(statement)
        with pytest.raises(sqlite3.DatabaseError, match="never changed"):
            connection.execute("update decisions set prediction = 0")

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            (case("a", case_id=""), "case_id must be a text"),
            (case("a", decision="wait"), "must be act or escalate"),
            (case("a", propensity=1.2), "propensity must be in"),
            (case("a", propensity=float("nan")), "propensity must be in"),
            (case("a", confidence=7), "confidence must be in"),
            (case("a", "escalate", propensity=0.5), "its propensity is 1"),
            (case("a", prediction=None), "without a prediction"),
            (case("a", audited=True, propensity=0.0), "with propensity 0"),
            (case("a", time="2026-11-01"), "UTC|time zone"),
            (case("a", time="soon"), "ISO 8601"),
            (case("a", time="2999-01-01T00:00:00.000000+00:00"), "in the future"),
            (case("a", own_action="wait"), "own_action"),
        ],
    )
    def test_a_bad_row_is_refused_with_its_place_and_nothing_is_written(self, row, words, tmp_path):
        ledger = Ledger(tmp_path / "l.sqlite")
        with pytest.raises(LedgerError, match=words) as caught:
            ledger.add([case("ok"), row])
        assert [place for place, _ in caught.value.problems] == [1]
        assert list(ledger.decisions()) == []

    @pytest.mark.parametrize(
        ("outcome", "words"),
        [
            (Outcome("nobody", 1, T1), "'nobody' was decided by nobody"),
            (Outcome("a", 1, "2026-10-01T00:00:00.000000+00:00"), "earlier than its decision"),
            (Outcome("a", -1, T1), "whole number"),
            (Outcome("b", 0, T1), "has the label 1 already, found 0"),
        ],
    )
    def test_a_bad_outcome_is_refused_and_nothing_is_written(self, outcome, words, tmp_path):
        ledger = Ledger(tmp_path / "l.sqlite")
        ledger.add([case("a"), case("b"), case("c")])
        ledger.join([Outcome("b", 1, T1)])
        with pytest.raises(LedgerError, match=words):
            ledger.join([Outcome("c", 1, T1), outcome])
        assert [row.case_id for row in ledger.outcomes()] == ["b"]

    def test_several_processes_write_at_once(self, tmp_path):
        path = tmp_path / "l.sqlite"
        context = multiprocessing.get_context("spawn")
        writers = [context.Process(target=_write, args=(path, i)) for i in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(120)
        assert [writer.exitcode for writer in writers] == [0] * 4
        names = {row.case_id for row in Ledger(path).decisions()}
        assert names == {f"{i}-{j}" for i in range(4) for j in range(25)} | {"shared"}

    def test_the_module_can_be_copied(self, tmp_path):
        source = Path(ledger_module.__file__).read_text("utf-8")
        (tmp_path / "copied.py").write_text(source, "utf-8")
        code = "import copied; copied.Ledger('l.sqlite'); print('made')"
        command = [sys.executable, "-S", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={})
        assert done.stdout == "made\n", done.stderr


def _write(path: Path, writer: int) -> None:
    for j in range(25):
        Ledger(path).add([case(f"{writer}-{j}"), case("shared")])


def _digest(document: Any, audit_rate: float) -> str:
    from escalometer.policy import digest

    return digest(document.model_copy(update={"audit_rate": audit_rate}).as_json())


class TestResults:
    def test_estimates_are_those_computed_by_hand(self):
        rows = [case(f"a{i}", audited=i < 10) for i in range(40)]
        rows += [case(f"e{i}", "escalate") for i in range(10)]
        outcomes = [Outcome(f"a{i}", int(i > 0), T1) for i in range(10)]  # 1 of 10 is wrong
        outcomes += [Outcome(f"e{i}", int(i < 5), T1) for i in range(10)]  # 5 of 10 are
        outcomes += [Outcome("a39", 0, T1)]  # a complaint
        found = summarize(rows, outcomes)
        assert found.wrong_rate.estimate == pytest.approx(0.1)
        assert found.escalated_accuracy.estimate == pytest.approx(0.5)
        assert found.accuracy.estimate == pytest.approx(0.8 * 0.9 + 0.2 * 0.5)
        assert (found.n_unselected, found.n_pending, found.n_labelled_acted) == (1, 0, 10)
        assert found.cost.estimate is None and found.alarm is None
        assert len(found.conditions) == 1
        assert any("not used" in note for note in found.notes)

    def test_different_audit_rates_weigh(self):
        rows = [case(f"a{i}", audited=True, propensity=0.5) for i in range(10)]
        rows += [case(f"b{i}", audited=True, propensity=0.1) for i in range(10)]
        outcomes = [Outcome(f"a{i}", 1, T1) for i in range(10)]
        outcomes += [Outcome(f"b{i}", 0, T1) for i in range(10)]
        found = summarize(rows, outcomes)
        assert found.wrong_rate.estimate == pytest.approx(10 / (10 + 2))

    def test_without_audits_the_accuracy_is_unknown_and_so_said(self):
        rows = [case("a", propensity=0.0), case("e", "escalate")]
        found = summarize(rows, [Outcome("e", 1, T1), Outcome("a", 1, T1)])
        assert found.accuracy.estimate is None and found.wrong_rate.estimate is None
        assert any("had no chance of an audit" in note for note in found.notes)

    def test_an_empty_ledger_has_a_summary(self):
        found = summarize([], [], exported(scored_rows()))
        assert found.n == 0 and found.accuracy.estimate is None
        assert found.alarm is not None and not found.alarm.is_raised

    @pytest.mark.parametrize(("n_wrong", "is_raised"), [(0, False), (60, True)])
    def test_the_alarm_is_raised_by_many_wrong_actions(self, n_wrong, is_raised):
        policy = exported(scored_rows())
        promised = promised_wrong_rate(policy)
        assert promised is not None and 0 < promised[0] < 0.5 and not promised[1]
        rows = [case(f"a{i}", audited=True, policy=policy.digest) for i in range(100)]
        outcomes = [Outcome(f"a{i}", int(i >= n_wrong), T1) for i in range(100)]
        found = summarize(rows, outcomes, policy)
        assert found.alarm is not None and found.alarm.is_raised == is_raised
        assert (found.alarm.lower_bound > found.alarm.promised) == is_raised
        assert found.cost.estimate == pytest.approx(4 * n_wrong / 100)


class TestSample:
    def test_every_case_is_kept_with_the_same_probability(self, tmp_path):
        ledger = Ledger(tmp_path / "l.sqlite")
        about = {"signal_accuracy": 0.8, "has_signal": True}
        rows = [
            case(f"a{i}", audited=ledger.draw("sha256:p", f"a{i}") < 0.25, **about)
            for i in range(4000)
        ]
        rows += [case(f"e{i}", "escalate", **about) for i in range(4000)]
        outcomes = [Outcome(row.case_id, 1, T1) for row in rows]
        found = equal_sample(rows, outcomes, ledger.draw)
        n_escalated = sum(row["escalate"] for row in found.rows)
        assert 900 < n_escalated < 1100
        assert 900 < len(found.rows) - n_escalated < 1100

    def test_what_a_profile_needs_is_named(self, tmp_path):
        draw = Ledger(tmp_path / "l.sqlite").draw
        rows = [case("a", audited=True)]
        with pytest.raises(DataError, match="no labelled case"):
            equal_sample(rows, [], draw)
        with pytest.raises(DataError, match="'a' first, lack signal_accuracy"):
            equal_sample(rows, [Outcome("a", 1, T1)], draw)


def test_times_are_in_utc():
    with pytest.raises(LedgerError, match="no time zone"):
        ledger_module.in_utc(datetime(2026, 1, 1))
    assert ledger_module.in_utc(datetime(2026, 11, 1, 10, tzinfo=UTC)) == T0
    assert datetime.fromisoformat(T1) - datetime.fromisoformat(T0) == timedelta(days=1)
