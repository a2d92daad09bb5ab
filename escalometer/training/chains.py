"""The chain of thought of the training targets: writing, parsing, and its mistakes.

One line of arithmetic, digit by digit and in whole per cent, so that a small model can follow it.
What acting costs is in units of one escalation, whose cost, 1, is 100%::

    The signal says 78%, so 20% + 2% = 22% are wrong. Acting costs 4 x 22% = 80% + 8% = 88% < 100%:
    implement.
    DECISION: 0

(one line, broken here). Its differences and products are of single digits, whatever the
numbers: 20 and 2 complete 78 to 100, 15 x 7% = 70% + 35%.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal, get_args

from escalometer.cases.task import DECISION_MARKER
from escalometer.dialogue.parsing import parse_marker
from escalometer.stats.policy import optimal_action

#: Mistakes in a chain; each step is judged given the chain's own steps before it.
Mistake = Literal[
    "no_chain",  # none of the steps can be read
    "misread_percentage",
    "wrong_error_rate",
    "misread_ratio",
    "wrong_product",
    "wrong_comparison",
    "decision_against_conclusion",
]
MISTAKES: tuple[Mistake, ...] = get_args(Mistake)

_NUMBER = r"(\d+(?:\.\d+)?)"
_TERM = r"\d+(?:\.\d+)?%"
_CHAIN = re.compile(
    rf"{_NUMBER}%, so ({_TERM} \+ {_TERM}) = {_NUMBER}% are wrong\. "
    rf"Acting costs {_NUMBER} x {_NUMBER}% = "
    rf"({_TERM}(?: \+ {_TERM})*) = {_NUMBER}% ([<>=]) 100%: (implement|escalate)\."
)


@dataclass(frozen=True)
class Chain:
    """A chain as written in an answer, in per cent.

    `decision` is 1 to escalate, None where there is none.
    """

    percent: Decimal
    error_terms: tuple[Decimal, ...]
    error_percent: Decimal
    cost_ratio: Decimal
    multiplied: Decimal
    terms: tuple[Decimal, ...]
    cost: Decimal
    sign: str
    conclusion: str
    decision: int | None

    def mistake(self, percent: int, cost_ratio: float) -> Mistake | None:
        """Return the first wrong step, None where all are right.

        Parameters
        ----------
        percent : int
            The percentage in the signal.
        cost_ratio : float
            R as the prompt states it.
        """
        if self.percent != percent:
            return "misread_percentage"
        error = 100 - self.percent
        if self.error_terms != _split(error) or not self.error_percent == self.multiplied == error:
            return "wrong_error_rate"
        if self.cost_ratio != _exact(cost_ratio):
            return "misread_ratio"
        terms = partial_products(self.cost_ratio, self.error_percent)
        if self.terms != terms or self.cost != sum(terms):
            return "wrong_product"
        action = "escalate" if self.cost > 100 else "implement"
        if (self.sign, self.conclusion) != (_sign(self.cost), action):
            return "wrong_comparison"
        if self.decision != int(self.conclusion == "escalate"):
            return "decision_against_conclusion"
        return None


def partial_products(cost_ratio: Decimal, error_percent: Decimal) -> tuple[Decimal, ...]:
    """Return the summands of R × the error rate: products of tens and units.

    Two terms where one of them is below 10, which decides all that is close: 80 + 8 for 4 x 22,
    70 + 35 for 15 x 7, 0 + 12 for 3 x 4. Four where neither is.
    """
    terms = [r * e for r in _tens_and_rest(cost_ratio) for e in _tens_and_rest(error_percent)]
    return tuple(terms if len(terms) > 1 else [Decimal(0), *terms])


def optimal_escalate(percent: int, ratio: float) -> int:
    """Return 1 where escalating is cheaper at an accuracy in per cent, else 0; a tie implements."""
    return int(optimal_action(Fraction(percent, 100), ratio) == "escalate")


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
    terms = partial_products(ratio, error)
    action = optimal_action(Fraction(percent, 100), cost_ratio)
    return (
        f"{source} {percent}%, so {_sum(_split(error))} = {error}% are wrong. "
        f"Acting costs {ratio} x {error}% = {_sum(terms)} = {_plain(sum(terms, Decimal(0)))}% "
        f"{_sign(ratio * error)} 100%: {action}.\n"
        f"{DECISION_MARKER} {int(action == 'escalate')}"
    )


def write_label(percent: int, cost_ratio: float) -> str:
    """Return the decision alone, the negative control; parameters as `write_chain`."""
    return f"{DECISION_MARKER} {optimal_escalate(percent, cost_ratio)}"


def read_chain(text: str) -> Chain | None:
    """Return the first chain in `text`, None where there is none."""
    match = _CHAIN.search(text)
    if match is None:
        return None
    percent, completing, error, ratio, multiplied, terms, cost, sign, conclusion = match.groups()
    return Chain(
        percent=Decimal(percent),
        error_terms=_terms(completing),
        error_percent=Decimal(error),
        cost_ratio=Decimal(ratio),
        multiplied=Decimal(multiplied),
        terms=_terms(terms),
        cost=Decimal(cost),
        sign=sign,
        conclusion=conclusion,
        decision=parse_marker(text[match.end() :], DECISION_MARKER, "first"),
    )


def mistake(text: str, percent: int, cost_ratio: float) -> Mistake | None:
    """Return the mistake of the chain in `text`, None where there is none; see `Chain.mistake`."""
    chain = read_chain(text)
    return "no_chain" if chain is None else chain.mistake(percent, cost_ratio)


def _exact(number: float) -> Decimal:
    return Decimal(repr(float(number)).removesuffix(".0"))


def _tens_and_rest(number: Decimal) -> tuple[Decimal, ...]:
    """Return 20 and 7 of 27, 7 alone of 7."""
    tens, rest = _split(number)
    return (tens, rest) if tens else (rest,)


def _split(number: Decimal) -> tuple[Decimal, Decimal]:
    """Return 20 and 7 of 27, 0 and 7 of 7."""
    rest = number % 10
    return number - rest, rest


def _sum(terms: Iterable[Decimal]) -> str:
    return " + ".join(f"{_plain(term)}%" for term in terms)


def _terms(spelled: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(term.removesuffix("%")) for term in spelled.split(" + "))


def _sign(cost: Decimal) -> str:
    return "<" if cost < 100 else ">" if cost > 100 else "="


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
