"""What the columns of a table of one's own hold, and how a text shows their values."""

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

#: More distinct texts than this are no vocabulary.
MAX_CATEGORIES = 50

#: From this share of numbers on, a column is one of numbers with mistakes in it.
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
_SPACES = "\u00a0\u202f\u2009"  # that stand between thousands
_NUMBER = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)?(\.\d*)?([eE][-+]?\d{1,3})?")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a domain of one's own, and what to do about it.

    Attributes
    ----------
    says, remedy : str
        Sentences.
    is_data : bool
        Whether the rows are to be mended, rather than the YAML file.
    """

    says: str
    remedy: str
    is_data: bool = False

    def __str__(self) -> str:
        return f"{self.says} {self.remedy}".strip()


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
        Whether every number is written so that SQL reads it as it stands.
    vocabulary : mapping of str to str
        Of a category: what each value is shown as, by its normal form.
    missing : frozenset of str
        Normal forms that stand for nothing.
    decimal : str
        What stands before the decimals in the file.
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
        """Return the values that the texts (or numbers, or None) stand for."""
        known = {text: self._value(text) for text in set(texts)}
        return [known[text] for text in texts]

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
        """Return a staged value as texts write it: in one form, whatever form the file has."""
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

    A currency sign, a percent sign and separators between thousands are read over. Whole numbers
    that begin with 0, such as postal codes, are no numbers.
    """
    bare = text.strip().replace("−", "-")
    sign = bare[0] if bare[:1] in ("-", "+") else ""
    bare = bare[len(sign) :].strip(_CURRENCY + "% " + _SPACES)
    bare = sign + bare if sign else bare
    grouped = re.sub(rf"(?<=\d)[ '’{_SPACES}](?=\d{{3}}(\D|$))", "", bare)
    if decimal == ",":
        grouped = grouped.translate({ord("."): ",", ord(","): "."})
    found = _NUMBER.fullmatch(grouped)
    if found is None or not any(c.isdigit() for c in grouped):
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
    """Return which rows hold the odd values."""
    wanted = set(odd)
    found = [f"row {row} ({t[:30]!r})" for row, t in zip(rows, texts, strict=True) if t in wanted]
    return ", ".join(found[:n]) + (f" and {len(found) - n} more" if len(found) > n else "")


def infer(
    name: str,
    staged: str,
    texts: Sequence[str],
    rows: Sequence[int],
    said: Feature | None,
    missing: frozenset[str],
    decimal: str,
) -> tuple[Column, list[Problem], list[str]]:
    """Return what a column holds, what is wrong with it, and what its owner should know.

    Parameters
    ----------
    name, staged : str
        The column's name in the file and in the staged table.
    texts : sequence of str
        Its values.
    rows : sequence of int
        Their rows' numbers.
    said : Feature or None
        What the file says of it.
    missing : frozenset of str
        Normal forms that stand for nothing.
    decimal : {".", ","}
        What stands before decimals.
    """
    said = said or Feature()
    counts = Counter(texts)
    given = [text for text in counts if normal(text) not in missing]
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
    if not given:
        problems.append(Problem(f"Column {name!r} holds nothing.", "Leave it out.", is_data=True))
        return Column(kind="text", **common), problems, notes
    numbers = {text: parse_number(text, decimal) for text in given}
    odd = [text for text in given if numbers[text] is None]
    forms = {normal(text) for text in given}
    kind = _kind(said, given, odd, forms, len(texts) - n_missing)
    other = "," if decimal == "." else "."
    may_be_number = said.kind in (None, "number") and not said.values and kind != "date"
    if odd and may_be_number and all(parse_number(t, other) is not None for t in odd):
        problems.append(_other_decimal(name, _where(texts, rows, odd, 3), other))
        return Column(kind="number", **common), problems, notes
    if kind == "number" and odd:
        problems.append(_not_numbers(name, _where(texts, rows, odd), said.kind == "number"))
    if kind == "boolean" and not forms <= set(BOOLEANS):
        problems.append(
            Problem(
                f"Column {name!r} is to be a boolean and holds "
                f"{_where(texts, rows, [t for t in given if normal(t) not in BOOLEANS])}.",
                "A boolean is written yes/no, true/false, y/n, t/f, on/off or 1/0; for other "
                "values leave `kind` out.",
                is_data=True,
            )
        )
    if kind == "number":
        values = [value for value in numbers.values() if value is not None]
        written = max(_written_decimals(text, decimal) for text in given)
        decimals, is_rounded = _decimals(values, written, said.decimals)
        is_plain = decimal == "." and all(
            text == "" or re.fullmatch(r"\s*[-+]?\d+(\.\d+)?\s*", text) for text in counts
        )
        if not is_plain and any(c in text for text in given for c in _CURRENCY + "%"):
            example = next(t for t in given if any(c in t for c in _CURRENCY + "%"))
            notes.append(
                f"Column {name!r}: {example!r} is read as {numbers[example]:g}; say the unit in "
                "the scenario's own words."
            )
        column = Column(
            kind="number", decimals=decimals, is_plain=is_plain, is_rounded=is_rounded, **common
        )
    elif kind == "category":
        column = Column(kind="category", vocabulary=_vocabulary(counts, given, said), **common)
        merged = len(forms) < len({" ".join(text.split()) for text in given})
        if merged:
            notes.append(
                f"Column {name!r}: values that differ in upper and lower case only are one value."
            )
        unknown = sorted(key for key in said.values if normal(key) not in forms)
        if unknown:
            problems.append(
                Problem(
                    f"Feature {name!r}: `values` speaks of {_named(unknown)}, which the column "
                    f"does not hold.",
                    f"It holds {_named(sorted(given))}.",
                )
            )
    else:
        column = Column(kind=kind, **common)
    return column, problems, notes


def _kind(
    said: Feature, given: Sequence[str], odd: Sequence[str], forms: set[str], n: int
) -> ColumnKind:
    if said.values:
        return "category"
    if said.kind is not None:
        return "text" if said.kind == "words" else said.kind
    if forms <= set(BOOLEANS) and (len(forms) > 1 or not forms <= {"0", "1"}):
        return "boolean"
    if len(given) - len(odd) >= MOSTLY * len(given):
        return "number"
    if all(_DATE.fullmatch(text.strip()) for text in given):
        return "date"
    # A vocabulary says the same things again and again.
    return "category" if len(forms) <= MAX_CATEGORIES and 2 * len(forms) <= n else "text"


def _other_decimal(name: str, where: str, other: str) -> Problem:
    return Problem(
        f"Column {name!r} seems to hold numbers with a decimal "
        f"{'comma' if other == ',' else 'point'}: {where}.",
        f'Say so at the top of the YAML file: decimal: "{other}" (or `kind: category` of the '
        "feature, if they are none).",
    )


def _not_numbers(name: str, where: str, is_said: bool) -> Problem:
    also = "" if is_said else ", or say `kind: category` (or `words`) of the feature"
    return Problem(
        f"Column {name!r} holds numbers, but not in {where}.",
        f"Mend these rows, or list such texts under `missing`{also}.",
        is_data=True,
    )


def _written_decimals(text: str, decimal: str) -> int:
    found = re.search(re.escape(decimal) + r"(\d+)\D*$", text)
    return len(found[1]) if found else 0


def _decimals(values: Sequence[float], written: int, said: int | None) -> tuple[int, bool]:
    """Return the decimals of all of a column's numbers, and whether that rounds any.

    They are as many as are written, unless they are all zeros.
    """
    found = max(_n_decimals(value) for value in values)
    if said is not None:
        return said, False
    most = DECIMALS_OF_SMALL if max(abs(value) for value in values) < SMALL else DECIMALS
    return min(max(found, written) if found else 0, most), found > most


def _vocabulary(counts: Counter[str], given: Sequence[str], said: Feature) -> dict[str, str]:
    """Return what each value is shown as: what the file says, else its most frequent spelling."""
    words = {normal(key): shown for key, shown in said.values.items()}
    shown: dict[str, str] = {}
    for text in sorted(given, key=lambda t: (-counts[t], t)):
        form = normal(text)
        shown.setdefault(form, words.get(form) or plain(text, MAX_VALUE))
    return shown
