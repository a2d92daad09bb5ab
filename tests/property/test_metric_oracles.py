"""Every SQL metric against its Python oracle on generated decisions."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from escalometer import warehouse
from escalometer.resources import files, resource, stem
from tests.sql._tables import VALUES as VALUES_OF_TESTS
from tests.sql._tables import assert_same, decisions, measure
from tests.sql.oracles import ORACLES

# Signals at which R = 20, 50, 4 and 2 tie, and one that the data of others has.
SIGNALS = {"a": 0.95, "b": 0.98, "c": 0.75, "d": 0.5, "e": 0.783}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"intervention": "no_signal", "has_signal": False},
    {"intervention": "cost_framing", "cost_ratio": 4.0, "framing": "ratio"},
    {"intervention": "cost_framing", "cost_ratio": 20.0, "framing": "words"},
    {"intervention": "isolated", "is_isolated": True},
    {"intervention": "thinking", "is_thinking": True},
    {"reasoning_effort": "medium"},
    {"intervention": "no_signal", "has_signal": False, "reasoning_effort": "medium"},
]
BIT = st.integers(0, 1)
# Nothing said, certainty, edges of bins (of which 0.3, 0.6 and 0.7 are no floats), what is clipped.
CONFIDENCES = (0.0, 1.0, 0.1, 0.3, 0.6, 0.7, 0.95, 1e-6, 1e-7, 0.9999995, 0.123456789)
CONFIDENCE = st.none() | st.sampled_from(CONFIDENCES) | st.integers(0, 1000).map(lambda k: k / 1000)


@st.composite
def _row(draw: st.DrawFn, n_choices: int = 2) -> dict[str, Any]:
    condition = draw(st.sampled_from(sorted(SIGNALS)))
    status = draw(st.sampled_from(["ok", "ok", "ok", "forced", "unparsed", "refused"]))
    answered = status in ("ok", "forced")
    label = draw(st.integers(0, n_choices - 1))
    prediction = draw(st.just(label) | st.integers(0, n_choices - 1))
    return {
        **draw(st.sampled_from(VARIANTS)),
        "domain": draw(st.sampled_from(["movielens", "lending_club", "moral_machine"])),
        "condition": condition,
        "signal_accuracy": SIGNALS[condition],
        "label": label,
        "prediction": prediction if answered else None,
        "escalate": draw(BIT) if answered else None,
        "status": status,
        "scenario_id": draw(st.sampled_from(["s1", "s2", "s3", None])),
        "replicate": draw(BIT),
        "stated_confidence": draw(CONFIDENCE),
        "prediction_probability": draw(CONFIDENCE),
        "times": draw(st.sampled_from([1, 1, 2, 3, 19, 49])),
    }


VALUES = st.fixed_dictionaries(
    {
        "cost_ratios": st.lists(
            st.sampled_from([2.0, 3.5, 4.0, 20.0, 50.0]), min_size=1, max_size=3, unique=True
        ),
        "human_error_rate": st.sampled_from([0.0, 0.05, 0.25]),
        "curve_ratios": st.just([1.0, 4.0, 20.0]),
        "side_domains": st.sampled_from([[], ["moral_machine"]]),
    }
)
PLAIN = {
    "cost_ratios": [4.0, 20.0, 50.0],
    "curve_ratios": [2.0, 20.0, 50.0],
    "human_error_rate": 0.0,
    "side_domains": [],
}


GRAIN = {
    "model",
    "domain",
    "condition",
    "intervention",
    "reasoning_effort",
    "cost_ratio",
    "framing",
    "is_thinking",
    "is_isolated",
    "has_signal",
    "signal_accuracy",
    "status",
    "is_correct",
    "is_escalated",
    "scored_ratio",
    "scored_against",
    "is_cost_stated",
    "score",
    "bin",
}


def _ordered(rows: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """Rows by whatever tells them apart: texts, booleans and the numbers of their grain."""
    return sorted(rows, key=lambda row: [(row[name] is None, str(row[name])) for name in names])


def _tie(condition: str, right: int, wrong: int) -> list[dict[str, Any]]:
    row = {"condition": condition, "signal_accuracy": SIGNALS[condition]}
    return [
        {**row, "times": right, "prediction": 1, "escalate": 1},
        {**row, "times": wrong, "prediction": 0},
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(_row(), max_size=25), values=VALUES)
@example(rows=[], values=PLAIN)
@example(rows=[{"status": "unparsed", "prediction": None, "escalate": None}], values=PLAIN)
@example(rows=[{"times": 9, "escalate": 1}], values=PLAIN)
@example(rows=_tie("a", 19, 1) + _tie("b", 49, 1) + _tie("c", 3, 1), values=PLAIN)
@example(
    # The exact slope is zero, though no two neighbouring rates are the same.
    rows=[
        {"condition": "a", "times": 5, "prediction": 0, "escalate": 0},
        {"condition": "b", "times": 5, "prediction": 1, "escalate": 0},
        {"condition": "c", "times": 5, "prediction": 1, "escalate": 1},
        {"condition": "c", "times": 5, "prediction": 0, "escalate": 1},
    ],
    values=PLAIN,
)
def test_metrics_equal_their_oracles(rows: list[dict[str, Any]], values: dict[str, Any]) -> None:
    table = decisions(rows)
    plain = table.to_pylist()
    for name, found in measure(table, values).items():
        expected = ORACLES[name](plain, values)
        grain = [name for name in (expected[0] if expected else ()) if name in GRAIN]
        assert_same(_ordered(found.to_pylist(), grain), _ordered(expected, grain), tolerance=1e-7)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(_row(), max_size=20), values=VALUES, right=st.booleans(), escalated=st.booleans()
)
def test_metrics_of_completed_decisions_equal_their_oracles(
    rows: list[dict[str, Any]], values: dict[str, Any], right: bool, escalated: bool
) -> None:
    filled = {**values, "filled_correct": right, "filled_escalated": escalated}
    table = decisions(rows)
    found = measure(table, filled)
    for name in sorted(warehouse.dependents("escalation_curve", without="decisions")):
        expected = ORACLES[name](table.to_pylist(), filled)
        grain = [name for name in (expected[0] if expected else ()) if name in GRAIN]
        assert_same(
            _ordered(found[name].to_pylist(), grain), _ordered(expected, grain), tolerance=1e-7
        )


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(_row(n_choices=26), max_size=25),
    renamed=st.permutations(range(26)),
    values=VALUES,
)
def test_what_the_choices_are_called_changes_nothing(
    rows: list[dict[str, Any]], renamed: list[int], values: dict[str, Any]
) -> None:
    places = {**dict(enumerate(renamed)), None: None}
    other = [
        {**row, "label": places[row["label"]], "prediction": places[row["prediction"]]}
        for row in rows
    ]
    first, second = measure(decisions(rows), values), measure(decisions(other), values)
    for name in first:
        assert first[name].equals(second[name]), name  # to the last bit


def test_every_metric_has_an_oracle() -> None:
    stems = {stem(path) for path in files(resource("sql", "metrics"), ".sql")}
    assert stems == set(ORACLES)


def _many(seed: int) -> pa.Table:
    source = random.Random(seed)  # noqa: S311
    rows = []
    for domain in ("movielens", "lending_club", "moral_machine"):
        for condition, signal in SIGNALS.items():
            for variant in VARIANTS:
                rows += [
                    {
                        **variant,
                        "domain": domain,
                        "condition": condition,
                        "signal_accuracy": signal,
                        "scenario_id": f"s{i}",
                        "prediction": int(source.random() < signal),
                        "escalate": int(source.random() < 1.2 - signal),
                        "stated_confidence": source.choice([None, *CONFIDENCES]),
                        "prediction_probability": source.random(),
                    }
                    for i in range(source.randrange(3, 40))
                ]
    return decisions(rows)


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_order_of_rows_and_threads_change_nothing(n_threads: int) -> None:
    table = _many(seed=1)
    shuffled = list(range(table.num_rows))
    random.Random(2).shuffle(shuffled)  # noqa: S311
    first, second = measure(table), measure(table.take(shuffled), n_threads=n_threads)
    for name in first:
        assert first[name].equals(second[name]), name  # to the last bit


def test_huge_counts_stay_exact() -> None:
    """Beyond 32 bits, and a tie there: one wrong in four at R = 4."""
    n = 3_000_000_000
    with warehouse.connect(1) as connection:
        warehouse.load_macros(connection)
        query = "select escalation_pays_for($wrong, $n, 4.0::double, 0.0)"
        for wrong, pays in ((n // 4, False), (n // 4 + 1, True)):
            values = {"wrong": wrong, "n": n}
            assert connection.execute(query, values).fetchone() == (pays,)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(_row(), min_size=1, max_size=20), values=VALUES)
def test_counts_beyond_32_bits_change_no_share(
    rows: list[dict[str, Any]], values: dict[str, Any]
) -> None:
    """A billion times as many dialogues of each kind: the same shares, lines and costs."""
    times = 1_000_000_000
    small = measure(decisions(rows), values)
    many = small["outcome_counts"].to_pandas()
    many["n"] *= times
    only = warehouse.dependents("escalation_curve", without="decisions")
    with warehouse.connect(1) as connection:
        counts = pa.Table.from_pandas(many, small["outcome_counts"].schema, preserve_index=False)
        warehouse.add_table(connection, "outcome_counts", counts)
        large = warehouse.run_metrics(connection, {**VALUES_OF_TESTS, **values}, only=only)
    for name in only:
        for few, more in zip(small[name].to_pylist(), large[name].to_pylist(), strict=True):
            for column, value in few.items():
                if column.startswith("n_") and column != "n_conditions" and column != "n_clipped":
                    assert more[column] == times * value, (name, column)
                elif isinstance(value, float) and not column.endswith(("_low", "_high")):
                    assert more[column] == pytest.approx(value, abs=1e-9), (name, column)
