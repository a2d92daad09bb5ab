"""The chain of thought that a model is taught: written, read back, and its mistakes named.

One line of arithmetic, digit by digit, so that a small model can follow it::

    The signal says 78%, so 22% are wrong. Acting costs 4 x 0.22 = 0.80 + 0.08 = 0.88 < 1: implement.
    DECISION: 0
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from escalometer.parsing import DECISION_MARKER, parse_marker
from escalometer.policy import optimal_action

#: What can be wrong with a chain, each step judged by what the chain itself says before it.
MISTAKES = (
    "no_chain",  # none of the steps can be read
    "misread_percentage",
    "wrong_error_rate",
    "misread_ratio",
    "wrong_product",
    "wrong_comparison",
    "decision_against_conclusion",
)

Mistake = Literal[
    "no_chain",
    "misread_percentage",
    "wrong_error_rate",
    "misread_ratio",
    "wrong_product",
    "wrong_comparison",
    "decision_against_conclusion",
]

_CENT = Decimal("0.01")
_NUMBER = r"(\d+(?:\.\d+)?)"
_CHAIN = re.compile(
    rf"{_NUMBER}%, so {_NUMBER}% are wrong\. Acting costs {_NUMBER} x {_NUMBER} = {_NUMBER} \+ "
    rf"{_NUMBER} = {_NUMBER} ([<>=]) 1: (implement|escalate)\."
)


@dataclass(frozen=True)
class Chain:
    """A chain as it stands in an answer; `decision` is 1 to escalate, None where there is none."""

    percent: Decimal
    error_percent: Decimal
    cost_ratio: Decimal
    error_rate: Decimal
    tens: Decimal
    units: Decimal
    cost: Decimal
    sign: str
    conclusion: str
    decision: int | None

    def mistake(self, percent: int, cost_ratio: float) -> Mistake | None:
        """Return the first step that is wrong, None where all are right.

        Parameters
        ----------
        percent : int
            What the signal states.
        cost_ratio : float
            R as the prompt states it.
        """
        if self.percent != percent:
            return "misread_percentage"
        if (self.error_percent, self.error_rate) != (100 - self.percent, self.error_percent * _CENT):
            return "wrong_error_rate"
        if self.cost_ratio != _exact(cost_ratio):
            return "misread_ratio"
        if (self.tens, self.units, self.cost) != product(self.cost_ratio, self.error_percent):
            return "wrong_product"
        action = "escalate" if self.cost > 1 else "implement"
        if (self.sign, self.conclusion) != (_sign(self.cost), action):
            return "wrong_comparison"
        if self.decision != int(self.conclusion == "escalate"):
            return "decision_against_conclusion"
        return None


def product(cost_ratio: Decimal, error_percent: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Return R × the tens of the error rate, R × its units, and their sum, which acting costs."""
    units = error_percent % 10
    parts = ((error_percent - units) * _CENT * cost_ratio, units * _CENT * cost_ratio)
    return *parts, sum(parts, Decimal())


def write_chain(percent: int, cost_ratio: float, source: str = "The signal says") -> str:
    """Return the chain for a stated accuracy and ratio, the decision's marker at its end.

    Parameters
    ----------
    percent : int
        The accuracy, in per cent: 50 to 99.
    cost_ratio : float
        R, above 1.
    source : str
        Where the accuracy is from.
    """
    error, ratio = Decimal(100 - percent), _exact(cost_ratio)
    tens, units, cost = product(ratio, error)
    action = optimal_action(float(Decimal(percent) * _CENT), cost_ratio)
    return (
        f"{source} {percent}%, so {error}% are wrong. Acting costs {ratio} x {_cents(error * _CENT)} = "
        f"{_cents(tens)} + {_cents(units)} = {_cents(cost)} {_sign(cost)} 1: {action}.\n"
        f"{DECISION_MARKER} {int(action == 'escalate')}"
    )


def write_label(percent: int, cost_ratio: float) -> str:
    """Return the decision alone: the negative control."""
    action = optimal_action(float(Decimal(percent) * _CENT), cost_ratio)
    return f"{DECISION_MARKER} {int(action == 'escalate')}"


def read_chain(text: str) -> Chain | None:
    """Return the first chain in `text`, None where there is none."""
    found = _CHAIN.search(text)
    if found is None:
        return None
    *numbers, sign, conclusion = found.groups()
    decision = parse_marker(text[found.end() :], DECISION_MARKER, "first")
    return Chain(*map(Decimal, numbers), sign, conclusion, decision)


def mistake(text: str, percent: int, cost_ratio: float) -> Mistake | None:
    """Return what is wrong with the chain in `text`, None where nothing is; see `Chain.mistake`."""
    chain = read_chain(text)
    return "no_chain" if chain is None else chain.mistake(percent, cost_ratio)


def _exact(number: float) -> Decimal:
    return Decimal(repr(float(number)).removesuffix(".0"))


def _sign(cost: Decimal) -> str:
    return "<" if cost < 1 else ">" if cost > 1 else "="


def _cents(number: Decimal) -> str:
    """Return the number with two decimals, or with as many more as it has."""
    plain = number.normalize()
    return str(plain.quantize(_CENT)) if plain == plain.quantize(_CENT) else f"{plain:f}"
