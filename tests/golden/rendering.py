"""The prompts of one domain and intervention as a page that a person can read."""

from __future__ import annotations

import importlib
from dataclasses import fields
from itertools import groupby
from pathlib import Path

from escalometer.cases import catalog
from escalometer.cases.domains import Condition, Domain, shipped
from escalometer.cases.own_domain import build
from escalometer.dialogue import interventions
from escalometer.dialogue.protocol import Protocol, first_turn, second_turn
from tests.conftest import ROOT
from tests.golden.rows import ROWS

FOLDER = Path(__file__).parent / "prompts"
COSTS = interventions.Costs((4.0, 2.5), ("ratio", "dollars", "words", "plain"))

#: A domain of one's own that has three outcomes.
OWN = "triage"
#: What the signals of the case's condition and of the lending one state, in per cent.
PERCENT, OTHER_PERCENT = 62, 91


def pages() -> dict[Path, str]:
    """Return every golden file with the text that it must hold."""
    names = [*shipped(), OWN]
    return {
        FOLDER / domain / f"{intervention}.txt": page(domain, intervention)
        for domain in names
        for intervention in interventions.names()
    }


def page(name: str, intervention: str) -> str:
    """Return the prompts of all variants; second turns stand below the first turn they follow."""
    domain = _load(name)
    module = importlib.import_module(f"escalometer.dialogue.interventions.{intervention}")
    scenario, label = domain.render(ROWS[name]), len(domain.task.meanings) - 1
    lines = [f"{domain.title}, {intervention}: {(module.__doc__ or '').splitlines()[0]}"]

    def first(protocol: Protocol) -> str:
        return first_turn(protocol, domain.task, scenario, _signal(domain, protocol))

    variants = interventions.variants(intervention, COSTS)
    for prompt, following in groupby(variants, key=first):
        lines += ["", "=" * 20 + " turn 1", prompt]
        for protocol in following:
            where = "turn 2, in a fresh conversation" if protocol.is_isolated else "turn 2"
            lines += ["", "-" * 20 + f" {where}{_differences(protocol)}"]
            signal = _signal(domain, protocol)
            lines.append(second_turn(protocol, domain.task, scenario, signal, label))
    return "\n".join(lines) + "\n"


def _load(name: str) -> Domain:
    if name == OWN:
        return build.load(ROOT / "examples" / "support_tickets" / f"{name}.yaml")
    return catalog.load(name)


def _signal(domain: Domain, protocol: Protocol) -> str:
    """Return the signal of a condition in the middle, or of the one that lends it another's."""
    by_name = {condition.name: condition for condition in domain.conditions}
    names = list(by_name)
    own = names[len(names) // 2]
    if protocol.has_other_signal:
        return _stated(domain, by_name[interventions.other_condition(names)[own]], OTHER_PERCENT)
    return _stated(domain, by_name[own], PERCENT)


def _stated(domain: Domain, condition: Condition, percent: int) -> str:
    outcome = domain.expected_outcome or domain.outcomes[-1]
    return domain.signal_template.format(phrase=condition.phrase, percent=percent, outcome=outcome)


def _differences(protocol: Protocol) -> str:
    """Return in which fields a variant differs from the baseline."""
    base = Protocol(protocol.intervention)
    found = [
        f"{field.name} = {getattr(protocol, field.name)}"
        for field in fields(protocol)
        if getattr(protocol, field.name) != getattr(base, field.name)
    ]
    return f" ({', '.join(found)})" if found else ""
