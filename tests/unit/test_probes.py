from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest

from escalometer.config import ProbeParams
from escalometer.dialogue.protocol import FRAMINGS, PROBE_FRAMINGS
from escalometer.schema import PROBED
from escalometer.training.chains import optimal_escalate, write_chain
from escalometer.training.held_out import TRAINED_RATIOS, UNTRAINED_PERCENTS, UNTRAINED_RATIOS
from escalometer.training.probe_cells import PLAIN, PROBES
from escalometer.training.probe_dialogues import probed_row
from escalometer.training.probes import ProbeDialogue, ProbeDomain, build
from escalometer.training.signals import restate

ACCURACIES = {"under_5%": 52, "b": 64, "c": 75, "d": 88, "e": 97}


def material(domain: str, n_scenarios: int = 30) -> ProbeDomain:
    conditions = {
        name: {
            "condition": name,
            "signal_accuracy": percent / 100,
            "signal": f"Where it is {name}, {percent}% were kept.",
        }
        for name, percent in ACCURACIES.items()
    }
    scenarios = [
        {
            "scenario_id": f"{domain}{i}",
            "split": ("train", "eval", "eval", "signal")[i % 4],
            "label": i % 2,
            "n_cases": 1,
            "conditions": [name for j, name in enumerate(ACCURACIES) if (i // 4 + j) % 2],
            "text": f"Case {i} of {domain}.",
        }
        for i in range(4 * n_scenarios)
    ]
    return ProbeDomain(domain, conditions, scenarios)


HELD_OUT = material("movielens")
TRAINED = [material("lending_club"), material("hotel_bookings")]


@pytest.fixture(scope="module")
def asked() -> list[ProbeDialogue]:
    return build(TRAINED, HELD_OUT, ProbeParams(), seed=1)


def of(asked: list[ProbeDialogue], probe: str) -> list[ProbeDialogue]:
    return [one for one in asked if one.probe == probe]


def signal_percent(one: ProbeDialogue) -> int:
    return int(one.signal.rsplit("%", 1)[0].rsplit(" ", 1)[1])


def test_sizes_are_those_asked_for_and_nothing_is_asked_twice(asked: list[ProbeDialogue]) -> None:
    sizes = ProbeParams()
    assert Counter(one.probe for one in asked) == {name: getattr(sizes, name) for name in PROBES}
    assert 1100 <= len(asked) <= 1400
    assert len(set(asked)) == len(asked)


def test_the_same_seed_asks_the_same(asked: list[ProbeDialogue]) -> None:
    assert build(TRAINED, HELD_OUT, ProbeParams(), seed=1) == asked
    assert build(TRAINED, HELD_OUT, ProbeParams(), seed=2) != asked


def test_scenarios_are_of_the_eval_split_and_of_their_condition(asked: list[ProbeDialogue]) -> None:
    rows = {row["scenario_id"]: row for m in (*TRAINED, HELD_OUT) for row in m.scenarios}
    for one in asked:
        row = rows[one.scenario_id]
        assert row["split"] == "eval"
        assert one.condition in row["conditions"]
        assert one.label == row["label"]


def test_the_grid_is_even() -> None:
    sizes = ProbeParams(held_out_domain=480, trained_domains=192)
    asked = build(TRAINED, HELD_OUT, sizes, seed=1)
    cells = Counter(
        (one.condition, one.protocol.cost_ratio, one.protocol.framing)
        for one in of(asked, "held_out_domain")
    )
    assert set(cells.values()) == {4}
    assert len(cells) == len(ACCURACIES) * len(TRAINED_RATIOS) * len(FRAMINGS)
    trained = of(asked, "trained_domains")
    assert Counter(one.domain for one in trained) == {"lending_club": 96, "hotel_bookings": 96}
    ratios = Counter((one.domain, one.protocol.cost_ratio) for one in trained)
    assert set(ratios.values()) == {16}


def test_each_probe_asks_what_it_is_named_for(asked: list[ProbeDialogue]) -> None:
    assert {one.domain for one in asked if one.probe != "trained_domains"} == {"movielens"}
    assert {one.protocol.cost_ratio for one in of(asked, "untrained_ratios")} == {*UNTRAINED_RATIOS}
    assert {one.protocol.framing for one in of(asked, "untrained_wordings")} == {*PROBE_FRAMINGS}
    assert {one.percent for one in of(asked, "untrained_percentages")} == {*UNTRAINED_PERCENTS}
    for one in asked:
        own = ACCURACIES[one.condition]
        assert one.domain_percent == own
        assert one.percent == signal_percent(one)
        assert one.protocol.has_signal == (one.probe != "no_signal")
        if one.probe in (*PLAIN, "no_signal", "other_percentage"):
            assert one.percent == own
        assert ("%" in one.scenario) == (one.probe == "other_percentage")


def test_a_wrong_signal_is_far_off_and_asks_for_the_other_action(
    asked: list[ProbeDialogue],
) -> None:
    for one in of(asked, "wrong_signal"):
        ratio = one.protocol.cost_ratio
        assert ratio is not None
        assert abs(one.percent - one.domain_percent) >= 20
        assert optimal_escalate(one.percent, ratio) != optimal_escalate(one.domain_percent, ratio)


def test_ties_and_what_lies_beside_them(asked: list[ProbeDialogue]) -> None:
    ties = of(asked, "ties")
    assert len(ties) > 200
    off = Counter()
    for one in ties:
        ratio = one.protocol.cost_ratio
        assert ratio is not None
        cost = Fraction(ratio) * (100 - one.percent)
        off[(cost > 100) - (cost < 100)] += 1
        assert abs(one.percent - 100 * (1 - 1 / Fraction(ratio))) <= 1
        assert optimal_escalate(one.percent, ratio) == int(cost > 100)
    assert min(off[0], off[1], off[-1]) >= 50


def test_dialogues_share_first_turns(asked: list[ProbeDialogue]) -> None:
    turns = {(one.scenario, one.signal, one.protocol.has_signal) for one in asked}
    assert len(turns) < len(asked) / 3


def test_a_short_version_is_spread_as_evenly() -> None:
    sizes = ProbeParams(
        trained_domains=24,
        held_out_domain=48,
        untrained_ratios=24,
        untrained_wordings=18,
        untrained_percentages=12,
        no_signal=12,
        wrong_signal=0,
        other_percentage=12,
        ties=22,
        n_scenarios=2,
    )
    asked = build(TRAINED, HELD_OUT, sizes, seed=1)
    assert len(asked) == 172
    held_out = of(asked, "held_out_domain")
    assert set(Counter(one.protocol.cost_ratio for one in held_out).values()) == {8}
    assert set(Counter(one.protocol.framing for one in held_out).values()) == {12}
    assert of(asked, "wrong_signal") == []


def test_where_scenarios_are_few_nothing_is_asked_twice() -> None:
    few = material("movielens", n_scenarios=2)
    asked = build([], few, ProbeParams(), seed=1)
    assert len(set(asked)) == len(asked) < sum(getattr(ProbeParams(), name) for name in PROBES)
    none = ProbeDomain("movielens", few.conditions, [])
    assert build([none], none, ProbeParams(), seed=1) == []


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        ("Where the loan exceeds 90% of it, 75% were approved.", "exceeds 90% of it, 61% were"),
        ("Where it is 24.1% and over 30%, 100% were kept.", "24.1% and over 30%, 61% were"),
        ("5% rated it higher", "61% rated it higher"),
        ("75% were kept", "61% were kept"),
    ],
)
def test_the_last_percentage_of_a_signal_is_the_one_restated(signal: str, said: str) -> None:
    assert said in restate(signal, 61)


@pytest.mark.parametrize(
    ("signal", "percent"),
    [
        ("Most were kept.", 61),
        ("24.1% of them", 61),
        ("75 of 100", 61),
        ("75% were kept", 101),
    ],
)
def test_a_signal_without_a_percentage_cannot_be_restated(signal: str, percent: int) -> None:
    with pytest.raises(ValueError, match="percentage"):
        restate(signal, percent)


def test_a_domain_whose_signals_state_none_is_refused() -> None:
    said: dict[str, Any] = {"signal": "Most were kept.", "signal_accuracy": 0.8}
    mute = ProbeDomain("movielens", dict.fromkeys(ACCURACIES, said), HELD_OUT.scenarios)
    with pytest.raises(ValueError, match="Most were kept"):
        build(TRAINED, mute, ProbeParams(), seed=1)


def held(one: ProbeDialogue, text: str | None, escalate: int | None) -> dict[str, Any]:
    """A dialogue as the engine gives it, with this answer in turn 2."""
    return {
        **dict.fromkeys(PROBED.names),
        "cost_ratio": one.protocol.cost_ratio,
        "escalate": escalate,
        "decision_text": text,
    }


def test_a_dialogue_is_right_by_the_signal_and_its_first_mistake_is_named(
    asked: list[ProbeDialogue],
) -> None:
    for one in of(asked, "wrong_signal"):
        ratio = one.protocol.cost_ratio
        assert ratio is not None
        by_signal, by_domain = (
            optimal_escalate(one.percent, ratio),
            optimal_escalate(one.domain_percent, ratio),
        )
        told = write_chain(one.percent, ratio)
        row = probed_row("tuned", "m", one, held(one, told, by_signal))
        assert (row["is_right"], row["mistake"]) == (True, None)
        assert (row["optimal_escalate"], row["domain_optimal_escalate"]) == (by_signal, by_domain)
        # Who goes by the domain, whose accuracy is nowhere stated, misreads the signal.
        told = write_chain(one.domain_percent, ratio)
        row = probed_row("tuned", "m", one, held(one, told, by_domain))
        assert (row["is_right"], row["mistake"]) == (False, "misread_percentage")
    row = probed_row("base", "m", one, held(one, None, None))
    assert (row["is_right"], row["mistake"]) == (False, None)
