"""The power of the gate's comparisons in a sentence, and in a row of a table."""

from __future__ import annotations

from escalometer.documents import RulePower, RuleResult
from escalometer.documents.wording import DASH, chance, count
from escalometer.reporting.gate_rules import size

#: Titles of the cells that `power_row` returns.
POWER_TITLES = (
    "Dialogues",
    "No change passes",
    "Tolerance fails",
    "Twice the tolerance fails",
    "Fails with 80% from",
)


def power_words(rule: RuleResult, power: RulePower) -> str:
    """Return in a sentence how probable worsenings were to be seen with these dialogues."""
    unchanged, *worse = power.at
    parts = [
        f"a worsening of {size(one.worsening, rule)} fails with probability {chance(one.fails)}"
        for one in worse
    ]
    parts.append(f"no change passes with probability {chance(unchanged.passes)}")
    if power.least_failing is not None:
        least = size(power.least_failing, rule)
        parts.append(f"a worsening of at least {least} fails with probability 80% or more")
    return f"power with {count(power.n)} dialogues: {'; '.join(parts)}"


def power_row(rule: RuleResult, power: RulePower) -> list[str]:
    """Return the cells of a rule in a table of powers."""
    unchanged, *worse = power.at
    failing = [chance(one.fails) for one in worse] or [DASH, DASH]
    least = size(power.least_failing, rule)
    return [count(power.n), chance(unchanged.passes), *failing, least]
