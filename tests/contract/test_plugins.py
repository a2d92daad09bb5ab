"""Every plug-in keeps its contract, so that a new one is one file and its name."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from escalometer.cases import catalog, domains
from escalometer.cases.domains import shipped
from escalometer.cases.task import Task
from escalometer.dialogue import interventions, providers
from escalometer.dialogue.protocol import first_turn, second_turn
from escalometer.errors import UsageError
from tests.conftest import ROOT

COSTS = interventions.Costs(ratios=(4.0, 20.0), framings=("ratio", "plain"))
TASK = Task("whether it rains", "the farmer", ("dry", "rain"))


@pytest.mark.parametrize("name", interventions.names())
def test_an_intervention_gives_protocols_in_its_own_name(name):
    protocols = interventions.variants(name, COSTS)
    assert protocols
    assert {protocol.intervention for protocol in protocols} == {name}
    assert len(set(protocols)) == len(protocols)
    for protocol in protocols:
        first = first_turn(protocol, TASK, "A cloud.", "Clouds mean rain in 80%.")
        second = second_turn(protocol, TASK)
        assert "'PREDICTION: 1' (rain) or 'PREDICTION: 0' (dry)" in first
        assert ("80%" in first) == protocol.has_signal
        digits = (1, 0) if protocol.are_actions_swapped else (0, 1)
        endings = "'DECISION: {}' (implement) or 'DECISION: {}' (escalate)"
        assert endings.format(*digits) in second
        states_cost = protocol.cost_ratio is not None
        assert not (states_cost and protocol.has_filler)
        assert (protocol.framing is not None) == (states_cost or protocol.has_filler)
        assert ("cost" in second) == states_cost


@pytest.mark.parametrize("name", interventions.names())
def test_an_intervention_says_in_a_line_what_changes(name):
    module = importlib.import_module(f"escalometer.dialogue.interventions.{name}")
    assert module.__doc__.splitlines()[0].endswith(".")
    assert f"| `{name}` |" in (ROOT / "docs" / "how-to" / "interventions.md").read_text("utf-8")


@pytest.mark.parametrize("name", shipped())
def test_a_domain_has_all_its_parts(name):
    domain = catalog.load(name)
    assert domain.name == name
    assert (ROOT / "sql" / "staging" / f"{name}.sql").exists()
    assert domain.editions
    for edition in domain.editions:
        for table in edition.raw_tables:
            assert (ROOT / "expectations" / f"{table.name}.json").exists()
        assert {"source", "edition", "licence", "citation", "decisions_of"} <= set(
            edition.provenance
        )
        assert edition.bring or edition.downloads or edition.instructions or edition.is_derived
    assert (ROOT / "expectations" / f"{name}.json").exists()
    for field in ("{phrase}", "{percent}", "{outcome}"):
        assert field in domain.signal_template
    assert len(domain.outcomes) == len(domain.task.meanings)
    assert len({condition.name for condition in domain.conditions}) == len(domain.conditions)
    for condition in domain.conditions:
        for private in domain.private_columns:
            assert private not in condition.predicate
    assert domain.features
    assert not domain.private_columns & {feature.column for feature in domain.features}


@pytest.mark.parametrize("name", providers.names())
def test_a_provider_connects(name):
    module = importlib.import_module(f"escalometer.dialogue.providers.{name}")
    assert callable(module.connect)


def test_no_plugin_imports_another():
    for package in (domains, interventions, providers):
        folder = Path(package.__file__).parent
        names = [p.stem for p in folder.glob("*.py") if not p.stem.startswith("_")]
        for name in names:
            text = (folder / f"{name}.py").read_text("utf-8")
            for other in set(names) - {name}:
                assert f"{package.__name__}.{other}" not in text
                assert f"from {package.__name__} import {other}" not in text


@pytest.mark.parametrize(
    ("load", "kind"),
    [
        (catalog.load, "domain"),
        (lambda name: interventions.variants(name, COSTS), "intervention"),
    ],
)
def test_an_unknown_name_lists_those_that_exist(load, kind):
    with pytest.raises(UsageError, match=f"unknown {kind} 'nope'. There are: .+"):
        load("nope")
    assert UsageError.exit_code == 3
