"""The columns of a user's table: kinds, missing values, and the display of values in texts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from escalometer.cases.own_domain.spec import Feature
from escalometer.cases.sanitize import plain

ColumnKind = Literal["number", "boolean", "category", "text", "date"]

NOT_GIVEN = "not given"
MAX_TEXT, MAX_VALUE = 600, 80

#: With more distinct texts than this, a column has no fixed vocabulary.
MAX_CATEGORIES = 50

#: From this share of numbers on, a column holds numbers, and its other values are mistakes.
MOSTLY = 0.8

#: Decimals that a text shows: two, or four where all numbers are small.
DECIMALS, DECIMALS_OF_SMALL, SMALL = 2, 4, 10

MISSING = ("", "na", "n/a", "#n/a", "nan", "null")
BOOLEANS = {
    "yes": True, "y": True, "true": True, "t": True, "1": True, "on": True,
    "no": False, "n": False, "false": False, "f": False, "0": False, "off": False,
}  # fmt: skip

_DATE = re.compile(
    r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]\d{1,2}:\d{2}.*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}( .*)?"
)
_CURRENCY = "$€£¥₹"
_SPACES = "\u00a0\u202f\u2009"  # separators of thousands
_NUMBER = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)?(\.\d*)?([eE][-+]?\d{1,3})?")


@dataclass(frozen=True)
class Problem:
    """One fault of a user's domain, and its remedy.

    Attributes
    ----------
    message, remedy : str
        Sentences.
    is_data : bool
        Whether the rows need correcting, rather than the YAML file.
    """

    message: str
    remedy: str
    is_data: bool = False

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


@dataclass(frozen=True)
class Column:
    """One column that is used.

    Attributes
    ----------
    name : str
        As in the file.
    staged : str
        As in the staged table.
    kind : {"number", "boolean", "category", "text", "date"}
        What it holds.
    decimals : int
        Of a number, in texts and in the staged table alike.
    is_plain : bool
        Whether SQL reads every number unchanged.
    vocabulary : mapping of str to str
        Of a category: the display of each value, by its normal form.
    missing : frozenset of str
        Normal forms of missing values.
    decimal : str
        The decimal mark in the file.
    n_missing : int
        Rows without a value.
    is_rounded : bool
        Whether the file has more decimals than are kept.
    """

    name: str
    staged: str
    kind: ColumnKind
    decimals: int = 0
    is_plain: bool = False
    vocabulary: Mapping[str, str] = field(default_factory=dict)
    missing: frozenset[str] = frozenset(MISSING)
    decimal: str = "."
    n_missing: int = 0
    is_rounded: bool = False

    def parse(self, texts: Sequence[Any]) -> list[Any]:
        """Return the values of the texts (or numbers, or None)."""
        value_of = {text: self._value(text) for text in set(texts)}
        return [value_of[text] for text in texts]

    def _value(self, text: Any) -> Any:
        if isinstance(text, float):
            return None if math.isnan(text) else self._rounded(text)
        if text is None or normal(text) in self.missing:
            return None
        if self.kind == "number":
            number = parse_number(text, self.decimal)
            return None if number is None else self._rounded(number)
        if self.kind == "boolean":
            return BOOLEANS.get(normal(text))
        if self.kind == "category":
            shown = self.vocabulary.get(normal(text))
            return shown or plain(text, MAX_VALUE) or None
        return plain(text, MAX_TEXT) or None

    def _rounded(self, number: float) -> float | int:
        # Adding zero makes 0 of minus zero.
        return round(number, self.decimals) + 0 if self.decimals else round(number)

    def show(self, value: Any) -> str:
        """Return a staged value as texts write it: in one form, for all spellings in the file."""
        if value is None:
            return NOT_GIVEN
        if self.kind == "boolean":
            return "yes" if value else "no"
        return f"{value:.{self.decimals}f}" if self.kind == "number" else str(value)


def normal(text: str) -> str:
    """Return the form in which two spellings of one value are the same."""
    lowered = " ".join(text.split()).casefold()
    return re.sub(r"^([-+]?\d+)\.0+$", r"\1", lowered)


def parse_number(text: str, decimal: str = ".") -> float | None:
    """Return the number that a text states, None where it states none.

    A currency sign, a percent sign and separators between thousands are ignored. Whole numbers
    that begin with 0, such as postal codes, are not numbers.
    """
    bare = text.strip().replace("−", "-")
    sign = bare[0] if bare[:1] in ("-", "+") else ""
    bare = bare[len(sign) :].strip(_CURRENCY + "% " + _SPACES)
    bare = sign + bare if sign else bare
    grouped = re.sub(rf"(?<=\d)[ '’{_SPACES}](?=\d{{3}}(\D|$))", "", bare)
    if decimal == ",":
        grouped = grouped.translate({ord("."): ",", ord(","): "."})
    number_match = _NUMBER.fullmatch(grouped)
    if number_match is None or not any(c.isdigit() for c in grouped):
        return None
    if re.match(r"[-+]?0\d", grouped):
        return None
    number = float(grouped.replace(",", ""))
    return number if math.isfinite(number) else None


def _n_decimals(number: float) -> int:
    return len(f"{number:.10f}".rstrip("0").partition(".")[2])


def _named(items: Sequence[str], n: int = 5) -> str:
    shown = ", ".join(repr(item[:40]) for item in items[:n])
    return shown + (f" and {len(items) - n} more" if len(items) > n else "")


def _where(texts: Sequence[str], rows: Sequence[int], odd: Sequence[str], n: int = 5) -> str:
    """Return the rows that hold the odd values, for a message."""
    wanted = set(odd)
    places = [f"row {row} ({t[:30]!r})" for row, t in zip(rows, texts, strict=True) if t in wanted]
    return ", ".join(places[:n]) + (f" and {len(places) - n} more" if len(places) > n else "")


def infer(
    name: str,
    staged: str,
    texts: Sequence[str],
    rows: Sequence[int],
    stated: Feature | None,
    missing: frozenset[str],
    decimal: str,
) -> tuple[Column, list[Problem], list[str]]:
    """Return a used column, its problems, and notes for the table's owner.

    Parameters
    ----------
    name, staged : str
        The column's name in the file and in the staged table.
    texts : sequence of str
        Its values.
    rows : sequence of int
        Their rows' numbers.
    stated : Feature or None
        The YAML file's entry for it.
    missing : frozenset of str
        Normal forms of missing values.
    decimal : {".", ","}
        The decimal mark.
    """
    stated = stated or Feature()
    counts = Counter(texts)
    present = [text for text in counts if normal(text) not in missing]
    n_missing = sum(n for text, n in counts.items() if normal(text) in missing)
    common: dict[str, Any] = {
        "name": name,
        "staged": staged,
        "missing": missing,
        "decimal": decimal,
        "n_missing": n_missing,
    }
    problems: list[Problem] = []
    notes: list[str] = []
    if not present:
        problems.append(Problem(f"Column {name!r} is empty.", "Leave it out.", is_data=True))
        return Column(kind="text", **common), problems, notes
    numbers = {text: parse_number(text, decimal) for text in present}
    odd = [text for text in present if numbers[text] is None]
    forms = {normal(text) for text in present}
    kind = _kind(stated, present, odd, forms, len(texts) - n_missing)
    other_decimal = "," if decimal == "." else "."
    may_be_number = stated.kind in (None, "number") and not stated.values and kind != "date"
    if odd and may_be_number and all(parse_number(t, other_decimal) is not None for t in odd):
        problems.append(_other_decimal(name, _where(texts, rows, odd, 3), other_decimal))
        return Column(kind="number", **common), problems, notes
    if kind == "number" and odd:
        problems.append(_not_numbers(name, _where(texts, rows, odd), stated.kind == "number"))
    if kind == "boolean" and not forms <= set(BOOLEANS):
        problems.append(
            Problem(
                f"Column {name!r} is declared as a boolean and contains "
                f"{_where(texts, rows, [t for t in present if normal(t) not in BOOLEANS])}.",
                "Booleans are written yes/no, true/false, y/n, t/f, on/off or 1/0; for other "
                "values remove `kind`.",
                is_data=True,
            )
        )
    if kind == "number":
        values = [value for value in numbers.values() if value is not None]
        written = max(_written_decimals(text, decimal) for text in present)
        decimals, is_rounded = _decimals(values, written, stated.decimals)
        is_plain = decimal == "." and all(
            text == "" or re.fullmatch(r"\s*[-+]?\d+(\.\d+)?\s*", text) for text in counts
        )
        if not is_plain and any(c in text for text in present for c in _CURRENCY + "%"):
            example = next(t for t in present if any(c in t for c in _CURRENCY + "%"))
            notes.append(
                f"Column {name!r}: {example!r} is read as {numbers[example]:g}; state the unit "
                "in the scenario's text."
            )
        column = Column(
            kind="number", decimals=decimals, is_plain=is_plain, is_rounded=is_rounded, **common
        )
    elif kind == "category":
        column = Column(kind="category", vocabulary=_vocabulary(counts, present, stated), **common)
        merged = len(forms) < len({" ".join(text.split()) for text in present})
        if merged:
            notes.append(
                f"Column {name!r}: values that differ only in upper and lower case are merged."
            )
        unknown = sorted(key for key in stated.values if normal(key) not in forms)
        if unknown:
            problems.append(
                Problem(
                    f"Feature {name!r}: `values` names {_named(unknown)}, which the column does "
                    "not contain.",
                    f"It contains {_named(sorted(present))}.",
                )
            )
    else:
        column = Column(kind=kind, **common)
    return column, problems, notes


def _kind(
    stated: Feature, present: Sequence[str], odd: Sequence[str], forms: set[str], n: int
) -> ColumnKind:
    if stated.values:
        return "category"
    if stated.kind is not None:
        return "text" if stated.kind == "words" else stated.kind
    if forms <= set(BOOLEANS) and (len(forms) > 1 or not forms <= {"0", "1"}):
        return "boolean"
    if len(present) - len(odd) >= MOSTLY * len(present):
        return "number"
    if all(_DATE.fullmatch(text.strip()) for text in present):
        return "date"
    # A category's values recur.
    return "category" if len(forms) <= MAX_CATEGORIES and 2 * len(forms) <= n else "text"


def _other_decimal(name: str, where: str, mark: str) -> Problem:
    return Problem(
        f"Column {name!r} seems to contain numbers with a decimal "
        f"{'comma' if mark == ',' else 'point'}: {where}.",
        f'Declare it at the top of the YAML file: decimal: "{mark}" (or `kind: category` of the '
        "feature, if they are not numbers).",
    )


def _not_numbers(name: str, where: str, is_said: bool) -> Problem:
    also = "" if is_said else ", or declare `kind: category` (or `words`) for the feature"
    return Problem(
        f"Column {name!r} contains numbers, except in {where}.",
        f"Correct these rows, or list such texts under `missing`{also}.",
        is_data=True,
    )


def _written_decimals(text: str, decimal: str) -> int:
    decimals = re.search(re.escape(decimal) + r"(\d+)\D*$", text)
    return len(decimals[1]) if decimals else 0


def _decimals(values: Sequence[float], written: int, stated: int | None) -> tuple[int, bool]:
    """Return the number of decimals of a column's numbers, and whether that rounds any.

    They are as many as are written, unless they are all zeros.
    """
    needed = max(_n_decimals(value) for value in values)
    if stated is not None:
        return stated, False
    most = DECIMALS_OF_SMALL if max(abs(value) for value in values) < SMALL else DECIMALS
    return min(max(needed, written) if needed else 0, most), needed > most


def _vocabulary(counts: Counter[str], present: Sequence[str], stated: Feature) -> dict[str, str]:
    """Return each value's display: the YAML file's wording, else its most frequent spelling."""
    words = {normal(key): shown for key, shown in stated.values.items()}
    shown: dict[str, str] = {}
    for text in sorted(present, key=lambda t: (-counts[t], t)):
        form = normal(text)
        shown.setdefault(form, words.get(form) or plain(text, MAX_VALUE))
    return shown
