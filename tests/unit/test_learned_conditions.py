import re
import subprocess
import sys

import duckdb
import numpy as np
import pandas as pd
import pytest

from escalometer.cases.features import MAX_CATEGORIES, Feature
from escalometer.cases.learned_conditions import MAX_DEPTH, Learned, learn
from escalometer.errors import UsageError

LEAD = Feature(
    "lead_time",
    "number",
    yes="the lead time is {value} days or more",
    no="the lead time is under {value} days",
    between="the lead time is {low} to {high} days",
)
REPEATED = Feature(
    "is_repeated", "boolean", "the guest has stayed before", "the guest has not stayed before"
)
DEPOSIT = Feature("deposit", "category", "the deposit is {value}", "the deposit is not {value}")
COMMENT = Feature(
    "comment", "words", "the comment has the word '{value}'", "the comment lacks the word '{value}'"
)


def tree(columns, labels, *features, n_leaves=4, min_cases=1, seed=0):
    return learn(columns, labels, features, n_leaves=n_leaves, min_cases=min_cases, seed=seed)


def n_selected(frame, learned):
    with duckdb.connect() as connection:
        connection.register("cases", frame)
        return [
            connection.execute(f"select count(*) from cases where {c.predicate}").fetchone()[0]
            for c in learned
        ]


def by_name(learned):
    return {condition.name: condition for condition in learned}


def test_a_threshold_between_whole_numbers_reads_as_the_upper_one():
    lead = [3, 10, 20, 29, 30, 31, 60, 90]
    found = tree({"lead_time": lead}, [1, 1, 1, 1, 0, 0, 0, 0], LEAD)
    assert found == [
        Learned(
            "lead_time_30_or_more",
            '"lead_time" >= 30',
            "the lead time is 30 days or more",
        ),
        Learned("lead_time_under_30", '"lead_time" < 30', "the lead time is under 30 days"),
    ]


def test_thresholds_are_multiples_of_the_step():
    random = np.random.default_rng(1)
    share = random.uniform(0, 1, 2000)
    dti = Feature("dti", "number", "dti from {value}", "dti under {value}", step=0.05)
    found = tree({"dti": share.tolist()}, (share > 0.337).astype(int), dti, min_cases=50)
    bounds = {
        float(bound) for condition in found for bound in re.findall(r"[\d.]+$", condition.phrase)
    }
    # 0.337 is no multiple: the rows from 0.30 to 0.35 stay together, whatever they are.
    assert {0.3, 0.35} & bounds
    assert all(round(100 * bound) % 5 == 0 for bound in bounds)
    assert '"dti" < 0.3e0' in {condition.predicate for condition in found}


def test_bounds_on_one_number_are_merged_and_terms_stand_in_the_order_of_features():
    lead = list(range(120)) * 2
    repeated = [False] * 120 + [True] * 120
    labels = [int(30 <= day < 90 and known) for day, known in zip(lead, repeated, strict=True)]
    found = by_name(tree({"lead_time": lead, "is_repeated": repeated}, labels, LEAD, REPEATED))
    middle = found["lead_time_30_to_90_and_is_repeated"]
    assert middle.predicate == '"lead_time" >= 30 and "lead_time" < 90 and "is_repeated"'
    assert middle.phrase == "the lead time is 30 to 90 days and the guest has stayed before"
    other = {c.phrase for c in found.values()} - {middle.phrase}
    assert "the guest has not stayed before" in other


def test_without_a_wording_for_between_both_bounds_are_said():
    plain = Feature("lead_time", "number", "{value:,} days or more", "under {value:,} days", step=5)
    lead = list(range(0, 5000, 5))
    found = by_name(
        tree({"lead_time": lead}, [int(1000 <= d < 2500) for d in lead], plain, n_leaves=3)
    )
    assert found["lead_time_1000_to_2500"].phrase == "1,000 days or more and under 2,500 days"


def test_terms_are_joined_by_commas_and_and():
    n = 16
    columns = {f"f{i}": [bool(row >> i & 1) for row in range(n)] for i in range(4)}
    features = [Feature(f"f{i}", "boolean", f"yes {i}", f"no {i}") for i in range(4)]
    labels = [bin(row).count("1") % 2 for row in range(n)]  # parity needs every feature
    phrases = {c.phrase for c in tree(columns, labels, *features, n_leaves=16)}
    assert "yes 0, no 1, yes 2 and no 3" in phrases
    assert len(phrases) == n


def test_a_category_that_is_named_needs_no_negations():
    deposit = ["none"] * 30 + ["refundable"] * 20 + ["non refund"] * 10 + [None] * 5
    labels = [0] * 30 + [1] * 20 + [2] * 10 + [0] * 5
    found = tree({"deposit": deposit}, labels, DEPOSIT)
    predicates = sorted(c.predicate for c in found)
    # Two questions part three values; the last leaf says what it is not.
    assert sum("<>" in predicate for predicate in predicates) == 1
    assert sum(re.fullmatch(r"\"deposit\" = '[a-z ]+'", p) is not None for p in predicates) == 2


def test_rare_values_and_such_that_cannot_be_said_are_no_conditions():
    values = [f"v{i:02}" for i in range(20)] * 10 + ["  "] * 50 + ["a\nb"] * 50 + ["rare"] * 2
    labels = [int(v in ("  ", "a\nb", "rare") or v == "v19") for v in values]
    found = tree({"deposit": values}, labels, DEPOSIT, n_leaves=30, min_cases=5)
    named = set(re.findall(r"v\d\d", " ".join(c.predicate for c in found)))
    assert not re.search(r"rare|\s\s|\n", " ".join(c.predicate for c in found))
    assert named <= {f"v{i:02}" for i in range(MAX_CATEGORIES)}


def test_words_are_whole_and_stop_words_are_not_among_them():
    texts = ["What a troll you are", "No TROLLING here", "the troll2 account", "Troll!"] * 20
    labels = [1, 0, 0, 1] * 20
    found = by_name(tree({"comment": texts}, labels, COMMENT, n_leaves=2))
    assert set(found) == {"comment_has_troll", "comment_lacks_troll"}
    assert found["comment_has_troll"].predicate == (
        r"""regexp_matches(lower("comment"), '\btroll\b')"""
    )
    assert found["comment_lacks_troll"].phrase == "the comment lacks the word 'troll'"
    # "the" would tell as much here, and "don" is only what an apostrophe leaves.
    told = ["the cat don't"] * 20 + ["cat"] * 20
    assert tree({"comment": told}, [1] * 20 + [0] * 20, COMMENT, n_leaves=2) == []
    courtesy = ["Please stop"] * 20 + ["stop"] * 20
    found = by_name(tree({"comment": courtesy}, [1] * 20 + [0] * 20, COMMENT, n_leaves=2))
    assert "comment_has_please" in found


def test_single_precision_columns_are_compared_as_doubles():
    # 0.45 in single precision is under 0.45, unless DuckDB rounds the bound as well.
    size = np.asarray([0.45, 0.45, 0.5, 0.5], dtype=np.float32)
    feature = Feature("size", "number", "{value} or more", "under {value}", step=0.05)
    found = tree({"size": size}, [0, 0, 1, 1], feature)
    assert [c.phrase for c in found] == ["0.45 or more", "under 0.45"]
    assert n_selected(pd.DataFrame({"size": size}), found) == [2, 2]


def test_nulls_are_in_no_condition_that_names_their_column():
    frame = pd.DataFrame(
        {"lead_time": [1.0, 2, 3, None, 40, 50, 60, float("nan"), 45], "label": [1] * 4 + [0] * 5}
    )
    found = tree({"lead_time": frame["lead_time"]}, frame["label"], LEAD)
    assert n_selected(frame, found) == [4, 3]
    assert found[0].predicate == '"lead_time" >= 22 and not isnan("lead_time")'


def test_a_column_that_is_mostly_empty_costs_no_rows():
    n = 40
    columns = {"lead_time": list(range(n)), "is_repeated": [None] * (n - 3) + [True] * 3}
    found = tree(columns, [int(i < n / 2) for i in range(n)], LEAD, REPEATED)
    assert {c.name for c in found} == {"lead_time_20_or_more", "lead_time_under_20"}


def test_rows_may_come_in_any_order():
    chance = np.random.default_rng(4)
    rows = [
        (int(day), bool(known < 0.3), str(deposit), float(luck))
        for day, known, deposit, luck in zip(
            chance.integers(0, 300, 800),
            chance.random(800),
            chance.choice(list("abcde"), 800),
            chance.random(800),
            strict=True,
        )
    ]
    labels = [int(x < 90) ^ int(b) if u < 0.8 else int(u * 1000) % 2 for x, b, _, u in rows]
    expected = None
    for _ in range(5):
        order = list(range(len(rows)))
        chance.shuffle(order)
        columns = {
            name: [rows[i][k] for i in order]
            for k, name in enumerate(("lead_time", "is_repeated", "deposit"))
        }
        found = tree(
            columns,
            [labels[i] for i in order],
            *(LEAD, REPEATED, DEPOSIT),
            n_leaves=10,
            min_cases=10,
        )
        expected = expected or found
        assert found == expected
    assert len(found) == 10


def test_many_labels_and_no_path_too_long_to_read():
    random = np.random.default_rng(2)
    lead = random.integers(0, 2600, 5000)
    repeated = random.random(5000) < 0.5
    labels = lead // 200 + 13 * repeated
    columns = {"lead_time": lead, "is_repeated": repeated}
    found = tree(columns, labels, LEAD, REPEATED, n_leaves=40, min_cases=20)
    assert len(set(labels.tolist())) == 26
    assert 6 <= len(found) <= 2**MAX_DEPTH
    assert all(c.predicate.count(" and ") < MAX_DEPTH for c in found)


def test_every_condition_has_the_cases_asked_for():
    random = np.random.default_rng(3)
    lead = random.exponential(40, 3000).round().tolist()
    labels = (random.random(3000) < np.asarray(lead) / 200).astype(int)
    found = tree({"lead_time": lead}, labels, LEAD, n_leaves=12, min_cases=100)
    counts = n_selected(pd.DataFrame({"lead_time": lead}), found)
    assert sum(counts) == len(lead)
    assert min(counts) >= 100


def test_names_are_short_unique_and_plain():
    long = "a_column_whose_name_is_so_long_that_two_of_it_do_not_fit"
    values = ["Ä-1", "Ä 1", "%;--"] * 10
    columns = {long: list(range(30)), "deposit": values}
    labels = [i % 3 + 3 * int(i > 14) for i in range(30)]
    number = Feature(long, "number", "over {value}", "under {value}")
    found = tree(columns, labels, number, DEPOSIT, n_leaves=6)
    assert len({c.name for c in found}) == len(found) == 6
    assert all(re.fullmatch("[a-z0-9_.]{1,60}", c.name) for c in found)
    below = Feature("lead_time", "number", "over {value}", "under {value}", step=0.5)
    found = tree({"lead_time": [-3.0, -2.5, -1, 0]}, [0, 0, 1, 1], below)
    assert [c.name for c in found] == ["lead_time_minus_1.5_or_more", "lead_time_under_minus_1.5"]


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        ({"lead_time": [1, 2, 3]}, [1, 1, 1]),
        ({"lead_time": [5, 5, 5]}, [0, 1, 1]),
        ({"lead_time": [None, None, None]}, [0, 1, 1]),
        ({"lead_time": []}, []),
    ],
)
def test_where_there_is_nothing_to_learn_nothing_is_learned(columns, labels):
    assert tree(columns, labels, LEAD) == []


@pytest.mark.parametrize(
    ("feature", "values", "message"),
    [
        (LEAD, ["12", 3], "declared as 'number'.*'12'"),
        (LEAD, [True, False], "declared as 'number'.*True"),
        (REPEATED, [0, 2], "declared as 'boolean'.*2"),
        (COMMENT, ["a", 1], "declared as 'words'.*1"),
        (Feature("absent", "number", "{value}", "{value}"), [1, 2], "unknown column 'absent'"),
        (Feature("lead_time", "number", "over", "under {value}"), [1, 2], "'over' must have"),
        (Feature("lead_time", "number", "{value} {x}", "{value}"), [1, 2], "no other braces"),
        (Feature("lead_time", "number", "{value}", "{value}", "{low}"), [1, 2], "{low} and {high}"),
        (Feature("lead_time", "number", "{value}", "{value}", step=0), [1, 2], "the step 0"),
        (Feature("lead_time", "number", "{value}", "{value}", step=1e-7), [1, 2], "6 decimals"),
    ],
)
def test_what_cannot_be_used_is_refused(feature, values, message):
    columns = dict.fromkeys(("lead_time", "is_repeated", "comment"), values)
    with pytest.raises(UsageError, match=message):
        tree(columns, [0, 1], feature)


def test_lengths_and_sizes_are_checked():
    with pytest.raises(ValueError, match="2 values for 3 labels"):
        tree({"lead_time": [1, 2]}, [0, 1, 1], LEAD)
    with pytest.raises(ValueError, match="n_leaves"):
        tree({"lead_time": [1, 2]}, [0, 1], LEAD, n_leaves=1)


def test_importing_does_not_import_scikit_learn():
    code = (
        "import sys, escalometer.cases.learned_conditions, escalometer.cases.form_leaks; "
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
