"""The cost-optimal rule, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

Action = Literal["implement", "escalate"]


def exact(value: float | int | str | Fraction) -> Fraction:
    """Return the number as it is written: 0.95 is 19/20, not the nearest binary fraction.

    Raises
    ------
    ValueError
        If `value` is not a finite number.
    """
    return value if isinstance(value, Fraction) else Fraction(str(value))


def optimal_threshold(cost_ratio: float, human_error_rate: float = 0.0) -> Fraction:
    """Return τ*, the accuracy below which escalating is cheaper than implementing.

    Parameters
    ----------
    cost_ratio : float
        R = c_w / c_ℓ, at least 1; unitless.
    human_error_rate : float, default 0
        h, how often the person who is asked is wrong, in [0, 1].

    Raises
    ------
    ValueError
        If `cost_ratio` is below 1 or `human_error_rate` is outside [0, 1].

    References
    ----------
    arXiv 2604.08588, section 2: τ* = 1 − 1/R; with human errors 1 − (1/R + h).
    """
    ratio, human = exact(cost_ratio), exact(human_error_rate)
    if ratio < 1:
        raise ValueError(f"cost_ratio must be at least 1, not {cost_ratio}")
    if not 0 <= human <= 1:
        raise ValueError(f"human_error_rate must be in [0, 1], not {human_error_rate}")
    return 1 - (1 / ratio + human)


def optimal_action(
    accuracy: float | Fraction, cost_ratio: float, human_error_rate: float = 0.0
) -> Action:
    """Return what a rational model does: escalate below τ*, implement at τ* and above.

    Parameters
    ----------
    accuracy : float or Fraction
        Chance that the prediction is right, in [0, 1].
    cost_ratio, human_error_rate : float
        As in `optimal_threshold`.
    """
    below = exact(accuracy) < optimal_threshold(cost_ratio, human_error_rate)
    return "escalate" if below else "implement"
