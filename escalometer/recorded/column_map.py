"""Columns of a file under names of their own: `--map label=outcome`, and which one may be meant."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from escalometer.errors import UsageError, unknown_name

#: Of a file, messages list so many columns.
MOST_NAMES = 40

#: How others call our columns. Messages suggest these; no file is read by them.
_SYNONYMS = {
    "model": ("model_name", "model_id", "llm", "release"),
    "domain": ("task", "dataset", "use_case", "workflow"),
    "condition": ("group", "segment", "stratum", "cohort"),
    "signal_accuracy": ("accuracy", "base_rate", "stated_accuracy", "signal_percentage"),
    "has_signal": ("signal", "with_signal", "signal_shown"),
    "label": ("outcome", "truth", "ground_truth", "target", "gold", "human_decision", "y_true"),
    "prediction": ("predicted", "pred", "predicted_label", "model_decision", "y_pred"),
    "escalate": ("escalated", "is_escalated", "deferred", "defer", "abstain", "action"),
}


def asked_name(name: str, mapping: Mapping[str, str]) -> str:
    """Return a column as messages call it: by its name, and that in the file if it has another."""
    return f"{name} ({mapping[name]!r} in the file)" if name in mapping else name


def names_by_map(
    file: str, there: Sequence[str], mapping: Mapping[str, str], known: Collection[str]
) -> dict[str, str]:
    """Return new names of a file's columns, by the names that they have.

    Parameters
    ----------
    file : str
        The file as messages call it.
    there : sequence of str
        Its columns.
    mapping : mapping of str to str
        The file's column by the name of ours that it gets.
    known : collection of str
        Our columns.

    Returns
    -------
    dict of str to str
        A column of the file whose name another one gets is called `NAME (not read)`.

    Raises
    ------
    UsageError
        If one of our names is unknown, a column of the file is absent, or one is named twice.
    """
    for name, column in mapping.items():
        if name not in known:
            error = unknown_name("column", name, known)
            raise UsageError(f"--map {name}={column}: {error} {has(file, there)}")
        if column not in there:
            near = difflib.get_close_matches(column, there, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"--map {name}={column}: {file} has no column {column!r}.{hint} {has(file, there)}"
            )
    twice = [column for column, n in Counter(mapping.values()).items() if n > 1]
    if twice:
        targets = [name for name, column in mapping.items() if column == twice[0]]
        raise UsageError(
            f"--map: {' and '.join(targets)} cannot both be the column {twice[0]!r}. "
            f"{has(file, there)}"
        )
    names = {column: name for name, column in mapping.items()}
    for name in mapping:
        if name in there and name not in names:
            names[name] = f"{name} (not read)"
    return {column: name for column, name in names.items() if column != name}


def has(file: str, there: Sequence[str]) -> str:
    """Return a sentence that lists a file's columns."""
    return f"{file} has: {listed(there)}."


def listed(names: Sequence[str]) -> str:
    """Return names, the first of them where there are many."""
    return ", ".join(names[:MOST_NAMES]) + (" and more" if len(names) > MOST_NAMES else "")


def suggestion(name: str, columns: Sequence[str]) -> str | None:
    """Return the column of a file that may be meant by one of ours; None if none is similar."""
    folded = {column.casefold().replace(" ", "_"): column for column in columns}
    for synonym in _SYNONYMS.get(name, ()):
        if synonym in folded:
            return folded[synonym]
    near = difflib.get_close_matches(name, folded, n=1, cutoff=0.7)
    return folded[near[0]] if near else None
