"""Columns of a user's table that may have been filled in after the decision: target leakage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escalometer.cases.own_domain.columns import Column

#: With fewer rows a column can predict the label by chance.
MIN_ROWS = 60
#: A column leaks if it alone predicts at least this share of labels, and at most so much of the
#: error of always naming the most frequent label is left.
NEARLY, ERROR_LEFT = 0.95, 0.2
#: More rows make the test no better.
MAX_ROWS = 20_000
N_FOLDS = 5
#: From this share of distinct values on, a column without words identifies the row.
MOSTLY_DISTINCT = 0.95
#: From this share of rows on, one date is later than another.
MOSTLY_LATER = 0.95

_DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%m/%d/%y")


@dataclass(frozen=True)
class TargetLeak:
    """A column of the scenario that may reveal the label.

    Attributes
    ----------
    column : str
        As in the file.
    finding : str
        What was seen, as a sentence that names the column.
    effect : str
        What it would do to the result.
    remedy : str
        What to change in the YAML file.
    """

    column: str
    finding: str
    effect: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.finding} {self.effect} {self.remedy}"


_DECIDES = (
    "If it was recorded after the decision, the model reads the outcome instead of predicting it: "
    "accuracies are too high, and so is everything computed from them."
)
_IDENTIFIES = (
    "A model may know it from elsewhere, and signals cannot use it: it adds length, not evidence."
)
_LATER = "If the later one was recorded after the decision, the model reads what it should predict."


def find_leaks(
    columns: Mapping[str, Column],
    values: Mapping[str, Sequence[Any]],
    labels: Sequence[int | None],
    stated: Sequence[str],
    lines: Sequence[str],
) -> list[TargetLeak]:
    """Return the columns of the scenario that may reveal the label, strongest first.

    Parameters
    ----------
    columns : mapping of str to Column
    values : mapping of str to sequence
        Parsed values of the stated columns, row by row.
    labels : sequence of int or None
        None is left out.
    stated : sequence of str
        Columns that the scenario states.
    lines : sequence of str
        The YAML file, to name the line that states a column.
    """
    rows = np.flatnonzero([label is not None for label in labels])
    if len(rows) < MIN_ROWS:
        return []
    if len(rows) > MAX_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MAX_ROWS, replace=False))
    y = np.array([labels[int(i)] for i in rows], dtype=np.int64)
    base = float(np.bincount(y).max() / len(y))
    of_rows = {name: [values[name][int(i)] for i in rows] for name in stated}
    remedies = {name: _remedy(name, lines) for name in stated}
    decisive = []
    for name in stated:
        share = predicted_share(columns[name].kind, of_rows[name], y)
        if share >= NEARLY and 1 - share <= ERROR_LEFT * (1 - base):
            finding = (
                f"Column {name!r} alone predicts the label of {share:.1%} of the cases (the most "
                f"frequent label: {base:.1%}). Was it known before the decision?"
            )
            decisive.append((share, TargetLeak(name, finding, _DECIDES, remedies[name])))
    found = [leak for _, leak in sorted(decisive, key=lambda pair: -pair[0])]
    for name in stated:
        if _is_identifier(columns[name].kind, of_rows[name]):
            finding = f"Column {name!r} identifies the case: nearly all of its values differ."
            found.append(TargetLeak(name, finding, _IDENTIFIES, remedies[name]))
    return found + _later_dates(of_rows, remedies)


def leak_of(column: str, finding: str, yaml_file: Path) -> TargetLeak:
    """Return a finding on a column that may have been recorded after the decision."""
    lines = yaml_file.read_text("utf-8").splitlines()
    return TargetLeak(column, finding, _DECIDES, _remedy(column, lines))


def predicted_share(kind: str, values: Sequence[Any], y: NDArray[np.int64]) -> float:
    """Return the share of labels that a tree of depth two predicts from one column.

    Parameters
    ----------
    kind : str
        The column's.
    values : sequence
        None where missing, which the tree may use too.
    y : ndarray of int, shape (n_rows,)
        Labels.

    Returns
    -------
    float
        In [0, 1], cross-validated: each fifth of the rows is predicted from the others.
    """
    from sklearn.model_selection import StratifiedKFold
    from sklearn.tree import DecisionTreeClassifier

    if min(Counter(y.tolist()).values()) < N_FOLDS:
        return 0.0
    n_right = 0
    is_missing = np.array([value is None for value in values], dtype=np.float64)
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(np.zeros((len(y), 1)), y):
        coded = _coded(kind, values, y, train)
        x = np.column_stack([coded, is_missing])
        tree = DecisionTreeClassifier(max_depth=2, random_state=0).fit(x[train], y[train])
        n_right += int((tree.predict(x[test]) == y[test]).sum())
    return n_right / len(y)


def _coded(
    kind: str, values: Sequence[Any], y: NDArray[np.int64], train: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return one number per row: a number itself, of other values their mean label in training."""
    if kind == "number":
        return np.array([-1e18 if value is None else float(value) for value in values])
    if kind in ("text", "date"):  # their words are evidence; that they are there can be a leak
        return np.zeros(len(values))
    sums: Counter[Any] = Counter()
    counts: Counter[Any] = Counter()
    for i in train:
        sums[values[i]] += int(y[i])
        counts[values[i]] += 1
    mean = float(y[train].mean())
    return np.array([sums[v] / counts[v] if counts[v] else mean for v in values])


def _is_identifier(kind: str, values: Sequence[Any]) -> bool:
    present = [value for value in values if value is not None]
    if len(present) < MIN_ROWS or len(set(present)) < MOSTLY_DISTINCT * len(present):
        return False
    if kind == "number":
        # Amounts may all differ; numbers counted up leave no gaps.
        is_whole = all(float(value).is_integer() for value in present)
        return is_whole and max(present) - min(present) < 2 * len(present)
    if kind not in ("text", "category"):
        return False
    texts = [str(value) for value in present]
    with_digit = sum(bool(re.fullmatch(r"\S*\d\S*", text)) for text in texts)
    return with_digit >= MOSTLY_DISTINCT * len(texts)


def _later_dates(
    values: Mapping[str, Sequence[Any]], remedies: Mapping[str, str]
) -> list[TargetLeak]:
    """Return a finding for each date that is later than another one in nearly all rows."""
    dates = {name: [_date(value) for value in column] for name, column in values.items()}
    dates = {
        name: column
        for name, column in dates.items()
        if sum(date is not None for date in column) >= MIN_ROWS
    }
    found = []
    for later, column in dates.items():
        for earlier, other in dates.items():
            pairs = [
                (a, b)
                for a, b in zip(column, other, strict=True)
                if a is not None and b is not None
            ]
            if earlier == later or len(pairs) < MIN_ROWS:
                continue
            n_after, n_before = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
            if n_after >= MOSTLY_LATER * len(pairs) and not n_before:
                finding = (
                    f"The date in column {later!r} is later than that in {earlier!r} in "
                    f"{n_after / len(pairs):.0%} of the cases. Is it later than the decision?"
                )
                found.append(TargetLeak(later, finding, _LATER, remedies[later]))
                break
    return found


def _date(value: Any) -> datetime | None:
    if not isinstance(value, str) or not 6 <= len(value) <= 40 or not value[0].isdigit():
        return None
    day = re.split(r"[ T]", value)[0]
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(day, form)
        except ValueError:
            continue
    return None


def _remedy(name: str, lines: Sequence[str]) -> str:
    for number, line in enumerate(lines, start=1):
        if f"{{{name}" in line:
            short = line.strip()
            short = short if len(short) <= 80 else f"{short[:77]}..."
            return (
                f"To leave it out, delete {{{name}}} from line {number} of the YAML file: {short}"
            )
    return f"To leave it out, delete {{{name}}} from `scenario` in the YAML file."
