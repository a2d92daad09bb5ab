"""Features: the columns that conditions may use, their wordings, and their encoding for a tree.

Numbers are binned to their feature's step before the tree sees them, so that every threshold it can
choose reads well and a leaf holds exactly the rows that its predicate selects.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import NoneType
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from escalometer.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]

MAX_CATEGORIES = 12
MAX_WORDS = 300
_WORD = re.compile(r"\b[a-z]{3,20}\b", re.ASCII)
#: Parts of words such as "don't" before the apostrophe.
_FRAGMENTS = {
    *("ain", "aren", "couldn", "didn", "doesn", "don", "hadn", "hasn", "haven", "isn", "mustn"),
    *("shouldn", "wasn", "weren", "won", "wouldn"),
}
#: In scikit-learn's list of stop words, yet relevant to a decision.
_TELLING = {"amount", "bill", "fire", "interest", "please", "serious", "sincere", "system"}
_TYPES: Mapping[str, set[type]] = {
    "number": {int, float, Decimal, NoneType},
    "boolean": {bool, int, float, NoneType},
    "category": {str, bool, int, float, NoneType},
    "words": {str, NoneType},
}
_MAX_DECIMALS = 6
_MAX_CODE = 2**52  # multiples of a step up to here are exact in floating point


@dataclass(frozen=True)
class Feature:
    """A column that conditions may use, and its wording in a sentence.

    Attributes
    ----------
    column : str
        Column of the staged table.
    kind : {"number", "boolean", "category", "words"}
        The kind of values; "words" is free text, in which single words are looked for.
    yes : str
        ``"the lead time is {value} days or more"`` (number), ``"the guest has stayed before"``
        (boolean), ``"the deposit is {value}"`` (category), ``"the comment has the word '{value}'"``
        (words). ``{value:,}`` writes a number with thousands commas.
    no : str
        The negation: ``"the lead time is under {value} days"``.
    between : str, optional
        For a number with two bounds: ``"the lead time is {low} to {high} days"``; `low` belongs to
        it, `high` does not. Without it the phrase joins `yes` and `no`.
    step : float, default 1.0
        For a number: thresholds are multiples of this, so a share needs 0.01 or 0.05. At most six
        decimals.
    """

    column: str
    kind: Literal["number", "boolean", "category", "words"]
    yes: str
    no: str
    between: str = ""
    step: float = 1.0


class Split(NamedTuple):
    """The meaning of a column of the matrix.

    For a number the column holds ranks, and rank r is the bin `codes[r]` of the feature's step;
    else it is 1 where the feature has `value`.
    """

    feature: int
    codes: Floats | None = None
    value: Any = None


def check_wordings(feature: Feature) -> None:
    """Refuse a wording that cannot be filled in, before anything is computed."""
    example: Any = 1 if feature.kind == "number" else "x"
    wordings = [(feature.yes, {"value": example}), (feature.no, {"value": example})]
    if feature.between:
        wordings.append((feature.between, {"low": 1, "high": 2}))
    for wording, values in wordings if feature.kind != "boolean" else []:
        try:
            wording.format(**values)
            is_usable = all(re.search(rf"\{{{name}[:}}]", wording) for name in values)
        except (KeyError, IndexError, ValueError, AttributeError):
            is_usable = False
        if not is_usable:
            places = " and ".join(f"{{{name}}}" for name in values)
            raise UsageError(
                f"column {feature.column!r}: the wording {wording!r} must have {places} and no "
                "other braces"
            )
    step = Decimal(str(feature.step))
    if not (step.is_finite() and 0 < step < 10**9 and step == round(step, _MAX_DECIMALS)):
        raise UsageError(
            f"column {feature.column!r}: the step {feature.step} is not a number above 0 with at "
            f"most {_MAX_DECIMALS} decimals"
        )


def plain_values(feature: Feature, values: Sequence[Any]) -> list[Any]:
    """Return the column in Python's own types, None where a value is missing."""
    plain: list[Any] = values.tolist() if isinstance(values, np.ndarray) else list(values)
    types = set(map(type, plain))
    if any(issubclass(kind, np.generic) for kind in types):
        plain = [v.item() if isinstance(v, np.generic) else v for v in plain]
        types = set(map(type, plain))
    if float in types:
        plain = [None if v != v else v for v in plain]
    allowed = _TYPES[feature.kind]
    invalid = [v for v in plain if type(v) not in allowed] if types - allowed else []
    if feature.kind == "boolean":
        invalid += [v for v in set(plain) if v not in (0, 1, None)]
    if invalid:
        raise UsageError(
            f"column {feature.column!r} is declared as {feature.kind!r} and has the value "
            f"{invalid[0]!r}: correct the feature's kind, or convert the column in staging"
        )
    return plain


def encode(
    place: int, feature: Feature, values: Sequence[Any], min_cases: int
) -> Iterator[tuple[Split, NDArray[np.float32]]]:
    """Yield the matrix columns of one feature; `values` has no None."""
    if feature.kind == "number":
        codes, ranks = np.unique(_codes(values, feature.step), return_inverse=True)
        # Ranks, since the tree computes in single precision, in which large codes would merge.
        yield Split(place, codes), ranks.astype(np.float32)
    elif feature.kind == "boolean":
        yield Split(place, value=True), np.asarray(values, dtype=np.float32)
    elif feature.kind == "category":
        for value in _frequent(Counter(values), min_cases, MAX_CATEGORIES):
            is_value = [v == value for v in values]
            yield Split(place, value=value), np.asarray(is_value, dtype=np.float32)
    else:
        words = _frequent(_document_counts(values), min_cases, MAX_WORDS)
        row_of = {word: j for j, word in enumerate(words)}
        has_word = np.zeros((len(words), len(values)), dtype=np.float32)
        for i, text in enumerate(values):
            for word in row_of.keys() & _words(text):
                has_word[row_of[word], i] = 1
        yield from ((Split(place, value=word), has_word[j]) for word, j in row_of.items())


def exact_step(step: float) -> tuple[int, int]:
    """Return integers p and q with step = p / q exactly."""
    return Decimal(str(step)).as_integer_ratio()


def _codes(values: Sequence[Any], step: float) -> Floats:
    """Return the largest k with k · step <= value, judged as SQL compares doubles.

    k · step is rounded once, p · k being exact, so that it is the very double that the decimal
    number in the predicate means.
    """
    p, q = exact_step(step)
    x = np.asarray([float(v) for v in values], dtype=np.float64)
    limit = float(_MAX_CODE // p)
    codes: Floats = np.floor(np.clip(x * (q / p), -limit, limit))
    codes -= codes * p / q > x
    codes += (codes + 1) * p / q <= x
    return np.clip(codes, -limit, limit)


def _words(text: str) -> set[str]:
    # DuckDB lowers İ to i; Python adds a dot, which would end the word.
    return set(_WORD.findall(text.replace("İ", "i").lower()))


def _document_counts(texts: Sequence[str]) -> Counter[Any]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts: Counter[Any] = Counter()
    for text in texts:
        counts.update(_words(text))
    for word in (ENGLISH_STOP_WORDS - _TELLING) | _FRAGMENTS:
        del counts[word]
    return counts


def _frequent(counts: Counter[Any], min_cases: int, n: int) -> list[Any]:
    """Return up to `n` values that a sentence can name, the most frequent first."""
    usable = [
        value
        for value, count in counts.items()
        if count >= min_cases and str(value).isprintable() and str(value).strip()
    ]
    return sorted(usable, key=lambda value: (-counts[value], str(value)))[:n]
