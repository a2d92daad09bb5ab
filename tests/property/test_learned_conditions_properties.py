"""A learned condition's words, its SQL and the leaf of the tree mean the same rows."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from escalometer.cases.features import Feature
from escalometer.cases.learned_conditions import learn

CATEGORIES = [
    "O'Brien",
    'a"b',
    "%;--",
    "No deposit",
    "x and y, z",
    "{value}",
    "ß\\n'",
    "  ",
    "a\0b",
]
WORDS = [
    "troll",
    "Thank",
    "LOVE",
    "troll_x",
    "troll2",
    "don't",
    "naïve",
    "Kelvin",
    "İstanbul",
    "ok",
]
TYPES = {
    "size": pa.float64(),
    "small size": pa.float32(),
    "n_visits": pa.int64(),
    'is "known"': pa.bool_(),
    "deposit": pa.string(),
    "comment": pa.string(),
}
FLOATS = st.one_of(
    st.none(),
    st.floats(),
    st.floats(-3, 3).map(lambda x: round(x, 2)),
    st.sampled_from([0.1, 0.15, 0.3, 0.45, 1.15, math.nan, math.inf, -0.0]),
)
SINGLES = FLOATS.map(lambda x: pa.scalar(x, pa.float32()).as_py())
ROW = st.fixed_dictionaries(
    {
        "size": FLOATS,
        "small size": SINGLES,
        "n_visits": st.one_of(st.none(), st.integers(-5, 60), st.integers(-(2**62), 2**62)),
        'is "known"': st.sampled_from([True, False, None]),
        "deposit": st.one_of(st.none(), st.sampled_from(CATEGORIES)),
        "comment": st.one_of(
            st.none(),
            st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join),
            st.lists(st.sampled_from([*WORDS, "'", "-", "é", ","]), max_size=5).map("".join),
        ),
    }
)


def features(step: float, has_between: bool) -> list[Feature]:
    """Wordings that a program can read: ⟦column|operator|value⟧."""
    numbers = [
        Feature(
            name,
            "number",
            yes=f"⟦{name}|>=|{{value}}⟧",
            no=f"⟦{name}|<|{{value}}⟧",
            between=f"⟦{name}|>=|{{low}}⟧⟦{name}|<|{{high}}⟧" if has_between else "",
            step=step,
        )
        for name in ("size", "small size", "n_visits")
    ]
    known, deposit, comment = 'is "known"', "deposit", "comment"
    return [
        *numbers,
        Feature(known, "boolean", yes=f"⟦{known}|is|True⟧", no=f"⟦{known}|is|False⟧"),
        Feature(deposit, "category", yes="⟦deposit|=|{value}⟧", no="⟦deposit|<>|{value}⟧"),
        Feature(comment, "words", yes="⟦comment|has|{value}⟧", no="⟦comment|lacks|{value}⟧"),
    ]


def says(phrase: str) -> list[list[str]]:
    return [said.split("|", 2) for said in re.findall("⟦(.*?)⟧", phrase, re.DOTALL)]


def holds(row: dict[str, Any], column: str, operator: str, value: str) -> bool:
    """True if a row is on that side; a null or NaN is on none."""
    found = row[column]
    if found is None or found != found:
        return False
    if operator in (">=", "<"):
        return (found >= float(Decimal(value))) == (operator == ">=")
    if operator == "is":
        return str(found) == value
    if operator in ("=", "<>"):
        return (found == value) == (operator == "=")
    words = re.split(r"[^a-z0-9_]+", found.replace("İ", "i").lower())
    return (value in words) == (operator == "has")


def is_complete(row: dict[str, Any], columns: list[str]) -> bool:
    return all(row[name] is not None and row[name] == row[name] for name in columns)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(st.tuples(ROW, st.integers(0, 2)), min_size=4, max_size=60),
    st.sampled_from([0.05, 0.1, 0.25, 1, 1.0, 5]),
    st.booleans(),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
    st.sets(st.sampled_from(list(TYPES)), min_size=1),
)
@example(
    [
        ({"size": x, "small size": x, "n_visits": 1, 'is "known"': True} | rest, int(x > 0.4))
        for x, rest in [
            (0.45, {"deposit": "O'Brien", "comment": "troll"}),
            (0.3, {"deposit": 'a"b', "comment": "troll2"}),
        ]
        * 4
    ],
    0.05,
    True,
    1,
    None,
    set(TYPES),
)
def test_sql_words_and_tree_mean_the_same_rows(
    drawn, step, has_between, min_cases, random, used_columns
):
    rows = [row for row, _ in drawn]
    labels = [label for _, label in drawn]
    chosen = [f for f in features(step, has_between) if f.column in used_columns]
    columns = {name: [row[name] for row in rows] for name in TYPES}
    arguments = {"n_leaves": 8, "min_cases": min_cases, "seed": 5}
    learned = learn(columns, labels, chosen, **arguments)
    assume(learned)

    assert len({condition.name for condition in learned}) == len(learned) <= 8
    table = pa.table({name: pa.array(columns[name], type=kind) for name, kind in TYPES.items()})
    connection = duckdb.connect()
    connection.register("cases", table)
    times = [0] * len(rows)
    offered = set()
    for condition in learned:
        assert re.fullmatch("[a-z0-9_.]{1,60}", condition.name)
        terms = says(condition.phrase)
        assert 1 <= len({(column, value) for column, _, value in terms}) <= 4
        expected = [all(holds(row, *term) for term in terms) for row in rows]
        query = f"select coalesce({condition.predicate}, false) from cases"
        assert [found for (found,) in connection.execute(query).fetchall()] == expected
        times = [n + is_in for n, is_in in zip(times, expected, strict=True)]
        assert sum(expected) >= min_cases
        offered |= {column for column, _, _ in terms}
    # The leaves part the rows that have a value in every column that any of them asks for.
    for row, n in zip(rows, times, strict=True):
        assert n == 1 if is_complete(row, list(offered)) else n <= 1

    if random is not None:
        places = list(range(len(rows)))
        random.shuffle(places)
        shuffled = {name: [column[i] for i in places] for name, column in columns.items()}
        assert learn(shuffled, [labels[i] for i in places], chosen, **arguments) == learned
