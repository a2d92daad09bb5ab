"""Hints that the columns of a user's table reveal the label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from escalometer.cases.own_domain.columns import Column, Problem
from escalometer.cases.own_domain.spec import Outcome

#: With fewer rows a column can determine the label by chance.
MIN_ROWS = 30

#: With fewer rows percentages have wide intervals.
FEW_ROWS = 100

MISSING_GAP = 0.1


def revealing_columns(
    columns: Mapping[str, Column],
    values: Mapping[str, Sequence[Any]],
    labels: Sequence[int | None],
    stated: Collection[str],
) -> list[Problem]:
    """Return a problem for each stated column that determines the label."""
    problems = []
    for name in stated:
        pairs = _pairs(values[name], labels)
        if len(pairs) < MIN_ROWS:
            continue
        has_both = len({label for _, label in pairs}) > 1
        if has_both and _tells_all(pairs, columns[name].kind == "number"):
            problems.append(
                Problem(
                    f"Column {name!r} reveals the label: each of its values occurs with one "
                    "outcome only.",
                    "It was probably recorded after the decision: remove it from the scenario "
                    "and the features.",
                )
            )
        elif _gap_tells_all(values[name], labels):
            problems.append(
                Problem(
                    f"Column {name!r} reveals the label: it is empty for one outcome and filled "
                    "in for the other.",
                    "Remove it from the scenario and the features.",
                )
            )
    return problems


def hints(
    values: Mapping[str, Sequence[Any]],
    labels: Sequence[int | None],
    stated: Collection[str],
    outcomes: Sequence[Outcome],
) -> list[str]:
    """Return notes for the table's owner, in sentences."""
    decided = [label for label in labels if label is not None]
    notes = []
    if len(decided) < FEW_ROWS:
        notes.append(
            f"With {len(decided)} decided cases every percentage is imprecise: half of the "
            "cases are used for signals, and 30 of them in a condition give about ± 18 points. "
            "Use at least a few hundred cases."
        )
    for name in stated:
        notes += _gap_hint(name, values[name], labels, outcomes)
    return notes


def unquoted_texts(
    columns: Mapping[str, Column], parts: Sequence[tuple[str, str | None]]
) -> list[str]:
    """Return a note for each free text that the scenario does not put in double quotes."""
    notes = []
    after = [literal for literal, _ in parts[1:]]
    for (before, name), follows in zip(parts[:-1], after, strict=True):
        is_quoted = before.endswith('"') and follows.startswith('"')
        if name and name in columns and columns[name].kind == "text" and not is_quoted:
            notes.append(
                f"Column {name!r} is free text: put it in double quotes in the scenario, so "
                "that its end is visible."
            )
    return notes


def _pairs(values: Sequence[Any], labels: Sequence[int | None]) -> list[tuple[Any, int]]:
    return [
        (value, label)
        for value, label in zip(values, labels, strict=True)
        if value is not None and label is not None
    ]


def _n_predicted(pairs: Sequence[tuple[Any, int]]) -> int:
    """Return the number of rows whose value's most frequent label is theirs."""
    by_value: defaultdict[Any, Counter[int]] = defaultdict(Counter)
    for value, label in pairs:
        by_value[value][label] += 1
    return sum(max(counts.values()) for counts in by_value.values())


def _tells_all(pairs: Sequence[tuple[Any, int]], is_number: bool) -> bool:
    n_values = len({value for value, _ in pairs})
    if _n_predicted(pairs) < len(pairs):
        return False
    if 5 * n_values <= len(pairs):
        return True
    if not is_number:
        return False  # nearly unique names and texts predict nothing
    in_order = [label for _, label in sorted(pairs)]
    n_changes = sum(a != b for a, b in pairwise(in_order))
    return n_changes < len(set(in_order))


def _gap_counts(
    values: Sequence[Any], labels: Sequence[int | None]
) -> tuple[Counter[int], Counter[int]]:
    """Return the number of rows by label, and of those among them that lack the value."""
    decided = [(v, y) for v, y in zip(values, labels, strict=True) if y is not None]
    return Counter(y for _, y in decided), Counter(y for v, y in decided if v is None)


def _gap_tells_all(values: Sequence[Any], labels: Sequence[int | None]) -> bool:
    of_all, of_gaps = _gap_counts(values, labels)
    with_gap = [label for label in of_all if of_gaps[label]]
    return bool(with_gap) and all(of_gaps[label] in (0, n) for label, n in of_all.items())


def _gap_hint(
    name: str, values: Sequence[Any], labels: Sequence[int | None], outcomes: Sequence[Outcome]
) -> list[str]:
    of_all, of_gaps = _gap_counts(values, labels)
    shares = {label: of_gaps[label] / n for label, n in of_all.items()}
    if len(shares) < 2:
        return []
    low, high = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    pooled = (of_gaps[low] + of_gaps[high]) / (of_all[low] + of_all[high])
    error = (pooled * (1 - pooled) * (1 / of_all[low] + 1 / of_all[high])) ** 0.5
    gap = shares[high] - shares[low]
    if gap < MISSING_GAP or gap < 4 * error:
        return []
    return [
        f"Column {name!r} is missing in {shares[high]:.0%} of the cases that are "
        f"{outcomes[high].means}, and in {shares[low]:.0%} of those that are "
        f"{outcomes[low].means}: the words 'not given' predict the label. Remove the column if "
        "it is filled in after the decision."
    ]
