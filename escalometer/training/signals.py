"""The percentage in a signal's sentence."""

from __future__ import annotations

import re

# A whole number; conditions may hold decimals (24.1%), of which the last digit is no percentage.
_PERCENT = re.compile(r"(?<![\d.])\d{1,3}(?= ?%)")


def restate(signal: str, percent: int) -> str:
    """Return the signal with another percentage: the last one, which says how often it holds.

    Parameters
    ----------
    signal : str
        ``"A decision tree on past applications finds: where the loan exceeds 90% of the property's
        value, 75% were approved."``
    percent : int
        What it is to state, 0 to 100.

    Raises
    ------
    ValueError
        If the sentence states no whole percentage, or `percent` is none.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent} is no percentage")
    found = [*_PERCENT.finditer(signal)]
    if not found:
        raise ValueError(f"no percentage to replace in the signal: {signal!r}")
    return f"{signal[: found[-1].start()]}{percent}{signal[found[-1].end() :]}"
