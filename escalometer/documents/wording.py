"""Formatting of numbers and texts for people; no other module formats them."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple, Protocol

DASH = "—"

#: Meanings of the statuses for people.
STATUS_WORDS = {
    "ok": "answer has the required form",
    "forced": "marker appended, completed by the model",
    "unparsed": "no prediction or action could be read",
    "truncated": "cut off at the token budget",
    "refused": "refused (content filter)",
    "error": "the provider failed",
}

#: Statuses whose prediction or action is missing, so that the dialogue cannot be scored.
MISSING = ("unparsed", "truncated", "refused", "error")

_KEPT = "\n\t"


def visible(text: object) -> str:
    """Return `text` with invisible and reordering characters replaced by their code points.

    Texts of models and of imported files may hold terminal escapes, bidirectional overrides,
    zero-width characters or lone surrogates. Each becomes its code point, ``⟨U+202E⟩``; line ends
    and tabs stay.
    """
    return "".join(_shown(c) for c in str(text).replace("\r\n", "\n"))


def _shown(character: str) -> str:
    if character in _KEPT or character.isprintable():
        return character
    # Spaces of all widths (Zs) are harmless; isprintable() calls them unprintable as well.
    is_space = unicodedata.category(character) == "Zs"
    return character if is_space else f"⟨U+{ord(character):04X}⟩"


def share(value: float | None, digits: int = 1) -> str:
    """Return a fraction as per cent: ``61.3%``, or a dash for None."""
    return DASH if value is None else f"{_signless(100 * value, digits)}%"


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


def chance(value: float) -> str:
    """Return a probability in whole per cent: ``46%``, ``over 99%``, ``under 1%``."""
    if value > 0.99:
        return "over 99%"
    return "under 1%" if value < 0.01 else share(value, 0)


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


class Bounded(Protocol):
    """Anything with two ends: an interval of a document, a point of a curve, `Bounds`."""

    @property
    def low(self) -> float | None:
        """Lower end."""

    @property
    def high(self) -> float | None:
        """Upper end."""


class Estimated(Bounded, Protocol):
    """An estimate with its interval, of any kind."""

    @property
    def estimate(self) -> float | None:
        """The number itself."""


class Bounds(NamedTuple):
    """Two ends by themselves, such as those of an interval that resamples whole conditions."""

    low: float | None
    high: float | None


def span(interval: Bounded | None, unit: str = "share", pattern: str = "[{low}, {high}]") -> str:
    """Return the interval's ends alone: ``[58.0, 64.4]``; a dash where either is undefined.

    Parameters
    ----------
    interval : Bounded or None
        Both ends, or None where there is no interval.
    unit : {"share", "points", "cost", "more"}
        Shares and points are printed as per cent, costs and differences of costs as they are.
    pattern : str
        How the ends are put together.
    """
    if interval is None or interval.low is None or interval.high is None:
        return DASH
    scale, digits = (1, 2) if unit in ("cost", "more") else (100, 1)
    return pattern.format(
        low=_signless(scale * interval.low, digits), high=_signless(scale * interval.high, digits)
    )


def number(value: float | None, unit: str = "share") -> str:
    """Return one number in `unit`, as `span` has them; a dash for None."""
    return {"share": share, "points": points, "cost": cost, "more": more}[unit](value)


def estimate(interval: Estimated | None, unit: str = "share") -> str:
    """Return the interval's estimate alone, in `unit`; a dash where it is undefined."""
    return number(None if interval is None else interval.estimate, unit)


def with_span(interval: Estimated, unit: str = "share") -> str:
    """Return estimate and interval: ``0.63 [0.60, 0.66]``; the estimate alone where that is all."""
    # A rule that leaves nothing to chance has an interval of one point.
    is_exact = interval.low == interval.high == interval.estimate
    bounds = DASH if is_exact else span(interval, unit)
    return estimate(interval, unit) if bounds == DASH else f"{estimate(interval, unit)} {bounds}"
