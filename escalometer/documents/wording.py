"""Numbers and texts as people read them; the only place that formats either."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel

#: An interval of a document, whatever its kind, or the same as a mapping.
AnyInterval: TypeAlias = BaseModel | Mapping[str, Any]

DASH = "—"

#: What each status means to somebody who has not read the code.
STATUS_WORDS = {
    "ok": "answered in the form asked for",
    "forced": "answer closed for the model, which filled in its choice",
    "unparsed": "no answer could be read",
    "truncated": "cut off at the token budget",
    "refused": "refused (content filter)",
    "error": "the provider failed",
}

#: Statuses whose prediction or action is missing, so that the dialogue cannot be scored.
MISSING = ("unparsed", "truncated", "refused", "error")

_KEPT = "\n\t"


def visible(text: object) -> str:
    """Return `text` with every character that one cannot see, or that reorders others, spelt out.

    Texts of models and of imported files may hold terminal escapes, bidirectional overrides,
    zero-width characters or lone surrogates. Each becomes its code point, ``⟨U+202E⟩``; line ends
    and tabs stay.
    """
    return "".join(_shown(c) for c in str(text).replace("\r\n", "\n"))


def _shown(character: str) -> str:
    if character in _KEPT or character.isprintable():
        return character
    # Spaces of all widths (Zs) are harmless; isprintable() calls them unprintable all the same.
    is_space = unicodedata.category(character) == "Zs"
    return character if is_space else f"⟨U+{ord(character):04X}⟩"


def share(value: float | None, digits: int = 1) -> str:
    """Return a fraction as per cent: ``61.3 %``, or a dash for None."""
    return DASH if value is None else f"{_signless(100 * value, digits)} %"


def points(value: float | None) -> str:
    """Return a difference of fractions as signed percentage points, or a dash for None."""
    return DASH if value is None else f"{100 * value:+.1f} points".replace("-", "−")


def cost(value: float | None) -> str:
    """Return a cost in units of one escalation: ``0.71``, or a dash for None."""
    return DASH if value is None else _signless(value, 2)


def more(value: float | None) -> str:
    """Return a difference of costs with its sign: ``+0.37``, or a dash for None."""
    if value is None:
        return DASH
    written = _signless(value, 2)
    return written if float(f"{value:.2f}") <= 0 else f"+{written}"


def p_value(value: float | None) -> str:
    """Return a p value: ``0.016``, ``< 0.001``, or a dash for None."""
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(value: int | None) -> str:
    """Return a count with thousands apart, or a dash for None."""
    return DASH if value is None else f"{value:,}"


def ratio(value: float | None) -> str:
    """Return a cost ratio as written: ``4``, ``2.5``, or a dash for None."""
    return DASH if value is None else f"{value:g}"


def _signless(value: float, digits: int) -> str:
    """Return the number with a real minus sign, and never as minus zero."""
    written = f"{value:.{digits}f}"
    return f"{0:.{digits}f}" if float(written) == 0 else written.replace("-", "−")


def span(
    interval: AnyInterval | None,
    unit: str = "share",
    prefix: str = "",
    pattern: str = "[{low}, {high}]",
) -> str:
    """Return the interval's bounds alone: ``[58.0, 64.4]``; a dash where either is undefined.

    Parameters
    ----------
    interval : model, mapping or None
        With ``low`` and ``high``, after `prefix`.
    unit : {"share", "points", "cost", "more"}
        Shares and points are printed as per cent, costs and differences of costs as they are.
    prefix : {"", "clustered_", "scenario_", "bound_"}
        Which of the intervals, or the bounds.
    pattern : str
        How the bounds are put together.
    """
    low, high = (_part(interval, f"{prefix}{end}") for end in ("low", "high"))
    if low is None or high is None:
        return DASH
    scale, digits = (1, 2) if unit in ("cost", "more") else (100, 1)
    ends = {"low": _signless(scale * low, digits), "high": _signless(scale * high, digits)}
    return pattern.format_map(ends)


def estimate(interval: AnyInterval | None, unit: str = "share") -> str:
    """Return the interval's estimate alone, in `unit`; a dash where it is undefined."""
    value = _part(interval, "estimate")
    return {"share": share, "points": points, "cost": cost, "more": more}[unit](value)


def with_span(interval: AnyInterval | None, unit: str = "share") -> str:
    """Return estimate and interval: ``0.63 [0.60, 0.66]``; the estimate alone where that is all."""
    ends = {_part(interval, end) for end in ("low", "high")}
    is_exact = ends == {_part(interval, "estimate")}  # of a rule that leaves nothing to chance
    bounds = DASH if is_exact else span(interval, unit)
    return estimate(interval, unit) if bounds == DASH else f"{estimate(interval, unit)} {bounds}"


def _part(interval: AnyInterval | None, name: str) -> float | None:
    """Return one number of an interval; None where it is undefined or the kind has none."""
    if isinstance(interval, Mapping):
        value: float | None = interval.get(name)
    else:
        value = getattr(interval, name, None)
    return value
