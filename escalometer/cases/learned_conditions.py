"""Learned conditions: the leaves of a small decision tree, as SQL and in the domain's words."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from escalometer.cases.features import (
    Feature,
    Split,
    check_wordings,
    encode,
    exact_step,
    plain_values,
)
from escalometer.errors import unknown_name

Floats: TypeAlias = NDArray[np.float64]

MAX_DEPTH = 4  # terms that a phrase can have and still be read
MAX_NAME = 60
#: A column that lacks a larger share of its values is not used: it would cost most of the rows.
MAX_MISSING = 0.5

_DIGEST_LENGTH = 8


@dataclass(frozen=True)
class Learned:
    """One learned condition.

    Attributes
    ----------
    name : str
        Unique, at most 60 characters of ``[a-z0-9_.]``: ``"lead_time_under_30_and_is_repeated"``.
    predicate : str
        DuckDB expression over the staged columns. A row with a null or NaN in a column that it
        names is not selected.
    phrase : str
        The same in words: ``"the lead time is under 30 days and the guest has stayed before"``.
    """

    name: str
    predicate: str
    phrase: str


class _Term(NamedTuple):
    name: str
    predicate: str
    phrase: str


class _Answer(NamedTuple):
    """One step on the path to a leaf: the number is at least `value` steps, or equals `value`."""

    feature: int
    value: Any
    holds: bool


def learn(
    columns: Mapping[str, Sequence[Any]],
    labels: Sequence[int],
    features: Sequence[Feature],
    *,
    n_leaves: int,
    min_cases: int,
    seed: int,
) -> list[Learned]:
    """Return the leaves of a decision tree for `labels`, sorted by name.

    Pass the rows of the train split, and compute what a signal states on the rows of the signal
    split. The tree seeks leaves with extreme shares, so a leaf's share among the rows that chose
    the leaf is biased away from one half; on other rows it is not ("honest" estimation).

    Parameters
    ----------
    columns : mapping of str to sequence, each of shape (n_rows,)
        The staged columns that `features` name. None and NaN are missing values.
    labels : sequence of int, shape (n_rows,)
        The label of each row: 0 or 1, or one of up to 26 classes.
    features : sequence of Feature
        What conditions may be made of. Phrases name features in this order.
    n_leaves : int
        Most conditions to return, at least 2.
    min_cases : int
        Least rows of each condition among those given, at least 1.
    seed : int
        Which of equally good splits is taken. The order of the rows does not matter.

    Returns
    -------
    list of Learned
        Disjoint conditions of one to four terms. Empty where there is nothing to learn: one label
        only, no split that leaves `min_cases` rows on both sides, or no row without a null.

    Raises
    ------
    UsageError
        If a column is absent or its values are not of the feature's kind, or a wording lacks the
        place for the value.
    ValueError
        If lengths differ, `n_leaves` is under 2 or `min_cases` under 1.

    Notes
    -----
    The tree is fitted on the rows that have all features, apart from features that more than half
    of the rows lack, which are left out: a null is on no side of a comparison in SQL, so a row with
    one could reach a leaf that its predicate does not select. Rows with a null in a feature that a
    condition does not use are in the condition.

    References
    ----------
    Susan Athey and Guido Imbens. 2016. Recursive partitioning for heterogeneous causal effects.
    PNAS 113(27), 7353-7360.
    """
    from sklearn.tree import DecisionTreeClassifier

    n_rows = len(labels)
    if n_leaves < 2 or min_cases < 1:
        raise ValueError(f"n_leaves is {n_leaves} (at least 2), min_cases {min_cases} (at least 1)")
    values_of: dict[int, list[Any]] = {}
    for place, feature in enumerate(features):
        check_wordings(feature)
        if feature.column not in columns:
            raise unknown_name("column", feature.column, columns)
        values = plain_values(feature, columns[feature.column])
        if len(values) != n_rows:
            raise ValueError(f"{feature.column} has {len(values)} values for {n_rows} labels")
        if values.count(None) <= MAX_MISSING * n_rows:
            values_of[place] = values
    lacking = {i for values in values_of.values() for i, v in enumerate(values) if v is None}
    rows = [i for i in range(n_rows) if i not in lacking]
    matrix: list[NDArray[np.float32]] = []
    meanings: list[Split] = []
    for place, values in values_of.items():
        complete = [values[i] for i in rows]
        for meaning, encoded in encode(place, features[place], complete, min_cases):
            meanings.append(meaning)
            matrix.append(encoded)
    if not matrix or not rows:
        return []
    # The order of rows cannot matter: a split's gain depends on counts of labels, which are exact
    # in floating point, and ties are broken by the order of columns, shuffled by the seed alone.
    fitted = DecisionTreeClassifier(
        max_leaf_nodes=n_leaves, min_samples_leaf=min_cases, max_depth=MAX_DEPTH, random_state=seed
    ).fit(np.column_stack(matrix), np.asarray(labels)[rows])
    leaves = []
    for path in _paths(fitted.tree_, meanings):
        terms: list[_Term] = []
        for place, values in values_of.items():  # in the order of `features`, not of the tree
            answers = [answer for answer in path if answer.feature == place]
            terms += _terms(features[place], answers, float in map(type, values))
        leaves.append(terms)
    return _named(leaves) if len(leaves) > 1 else []


def _paths(tree: Any, meanings: Sequence[Split]) -> Iterator[list[_Answer]]:
    """Yield the path to each leaf of a fitted tree, from left to right."""
    todo: list[tuple[int, list[_Answer]]] = [(0, [])]
    while todo:
        node, path = todo.pop()
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left == right:  # both -1: a leaf
            yield path
            continue
        place, codes, value = meanings[int(tree.feature[node])]
        if codes is not None:
            rank = int(np.floor(tree.threshold[node]))
            # Any code in (below, above] splits the rows alike; other rows fit halfway best.
            below, above = int(codes[rank]), int(codes[rank + 1])
            value = (below + above + 1) // 2
        todo.append((right, [*path, _Answer(place, value, True)]))
        todo.append((left, [*path, _Answer(place, value, False)]))


def _terms(feature: Feature, answers: Sequence[_Answer], may_be_nan: bool) -> list[_Term]:
    """Return the answers on one feature as terms, in as few as possible."""
    yes = [answer.value for answer in answers if answer.holds]
    no = [answer.value for answer in answers if not answer.holds]
    if feature.kind == "number" and answers:
        return [_number_term(feature, max(yes, default=None), min(no, default=None), may_be_nan)]
    if feature.kind == "category" and yes:
        no = []  # "is X" implies that it is not Y
    terms = [_value_term(feature, value, True) for value in sorted(yes, key=str)]
    return terms + [_value_term(feature, value, False) for value in sorted(no, key=str)]


def _number_term(feature: Feature, low: int | None, high: int | None, may_be_nan: bool) -> _Term:
    """Return the term for the numbers from `low` steps up to, and without, `high` steps."""
    column = _identifier(feature.column)
    lowest, highest = _bound(low, feature.step), _bound(high, feature.step)
    from_low = f"{column} >= {_number(lowest)}"
    to_high = f"{column} < {_number(highest)}"
    if low is None:
        name = f"{feature.column} under {_in_name(highest)}"
        return _Term(name, to_high, feature.no.format(value=highest))
    name = f"{feature.column} {_in_name(lowest)}"
    if high is None:
        # To DuckDB NaN is larger than any number; only columns of floats can have it.
        guard = f" and not isnan({column})" if may_be_nan else ""
        return _Term(f"{name} or more", from_low + guard, feature.yes.format(value=lowest))
    if feature.between:
        words = feature.between.format(low=lowest, high=highest)
    else:
        words = f"{feature.yes.format(value=lowest)} and {feature.no.format(value=highest)}"
    return _Term(f"{name} to {_in_name(highest)}", f"{from_low} and {to_high}", words)


def _value_term(feature: Feature, value: Any, holds: bool) -> _Term:
    column, wording = _identifier(feature.column), feature.yes if holds else feature.no
    if feature.kind == "boolean":
        sql = column if holds else f"not {column}"
        return _Term(sql.replace('"', ""), sql, wording)
    if feature.kind == "category":
        sql = f"{column} {'=' if holds else '<>'} {_literal(value)}"
        name = f"{feature.column} {'' if holds else 'not '}{value}"
    else:
        sql = f"{'' if holds else 'not '}regexp_matches(lower({column}), '\\b{value}\\b')"
        name = f"{feature.column} {'has' if holds else 'lacks'} {value}"
    return _Term(name, sql, wording.format(value=value))


def _bound(code: int | None, step: float) -> int | Decimal:
    p, q = exact_step(step)
    number = Decimal((code or 0) * p) / q
    return int(number) if number == number.to_integral_value() else number.normalize()


def _number(value: int | Decimal) -> str:
    # The exponent makes a double of it: REAL columns would else be compared in single precision.
    return str(value) if isinstance(value, int) else f"{value:f}e0"


def _in_name(value: int | Decimal) -> str:
    return f"{'minus ' if value < 0 else ''}{abs(value)}"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if value in (np.inf, -np.inf) else repr(value)


def _named(leaves: Sequence[Sequence[_Term]]) -> list[Learned]:
    """Join the terms of each leaf, and give every leaf a unique name."""
    drafts = []
    for terms in leaves:
        predicate = " and ".join(term.predicate for term in terms)
        words = [term.phrase for term in terms]
        phrase = " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
        slugs = [re.sub(r"[^a-z0-9.]+", "_", term.name.lower()).strip("_") for term in terms]
        drafts.append(("_and_".join(slugs), predicate, phrase))
    times = Counter(name for name, _, _ in drafts)
    learned = []
    for name, predicate, phrase in drafts:
        if len(name) > MAX_NAME or times[name] > 1 or not name.strip("_"):
            # A digest rather than a number: it does not depend on what other leaves there are.
            digest = hashlib.sha256(predicate.encode()).hexdigest()[:_DIGEST_LENGTH]
            name = f"{name[: MAX_NAME - _DIGEST_LENGTH - 1].strip('_')}_{digest}"
        learned.append(Learned(name, predicate, phrase))
    return sorted(learned, key=lambda condition: condition.name)
