"""Probes: the dialogues that test an adapter beside its base model.

Each probe is a list of cells (condition, percentage, ratio, wording) over which its dialogues are
spread evenly. Dialogues that differ in the wording alone are about the same scenario, so that they
share their first turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from escalometer.cases import sampling
from escalometer.config import ProbeParams
from escalometer.dialogue.protocol import Protocol
from escalometer.training.probe_cells import PROBES, ProbeCell, cells_of, evenly
from escalometer.training.signals import restate

Scenario = Mapping[str, Any]


@dataclass(frozen=True)
class ProbeDialogue:
    """One dialogue of a probe.

    Attributes
    ----------
    probe : str
        One of `PROBES`.
    domain, condition, scenario_id, scenario, label : str, str, str, str, int
        As the tables of scenarios and conditions have them; `scenario` is the text, with what a
        probe adds to it.
    signal : str
        The sentence; not shown where the protocol withholds it.
    percent, domain_percent : int
        The percentage in the signal, and the condition's accuracy; the same where the signal is
        withheld.
    protocol : Protocol
    """

    probe: str
    domain: str
    condition: str
    scenario_id: str
    scenario: str
    label: int
    signal: str
    percent: int
    domain_percent: int
    protocol: Protocol


@dataclass(frozen=True)
class ProbeDomain:
    """A domain of the probes.

    Attributes
    ----------
    domain : str
    conditions : mapping of str to mapping
        Rows of `schema.CONDITIONS` by name.
    scenarios : sequence of mapping
        Rows of `schema.SCENARIOS`; the probes use those of the eval split.
    """

    domain: str
    conditions: Mapping[str, Mapping[str, Any]]
    scenarios: Sequence[Mapping[str, Any]]


def build(
    trained: Sequence[ProbeDomain], held_out: ProbeDomain, sizes: ProbeParams, seed: int
) -> list[ProbeDialogue]:
    """Return the dialogues of all probes, probe by probe, without duplicates.

    Parameters
    ----------
    trained : sequence of Material
        Domains that the adapter is trained on.
    held_out : Material
        The one that it never sees.
    sizes : ProbeParams
        The number of dialogues of each probe. Where scenarios are few there can be fewer.
    seed : int
        Seed of the random numbers.

    Raises
    ------
    ValueError
        If a signal states no percentage that could be replaced.
    """
    asked: list[ProbeDialogue] = []
    share, more = divmod(sizes.trained_domains, max(1, len(trained)))
    for i, material in enumerate(trained):
        pools = _pools(material, sizes.n_scenarios, seed)
        asked += _Probe("trained_domains", material, pools, seed).spread(share + (i < more))
    # The same scenarios for each probe of a domain: probes share first turns as well.
    pools = _pools(held_out, sizes.n_scenarios, seed)
    for name in PROBES[1:]:
        asked += _Probe(name, held_out, pools, seed).spread(getattr(sizes, name))
    return [*dict.fromkeys(asked)]


class _Probe:
    """One probe on one domain: its cells, and the scenarios that they are about."""

    def __init__(
        self, name: str, material: ProbeDomain, pools: Mapping[str, list[Scenario]], seed: int
    ) -> None:
        self._name = name
        self._material = material
        self._pools = pools
        self._random = sampling.generator(seed, material.domain, f"probe {name}")
        everything: list[tuple[str, Scenario]] = [
            (c, scenario) for c, pool in pools.items() for scenario in pool
        ]
        order = self._random.permutation(len(everything))
        self._anything: list[tuple[str, Scenario]] = [everything[i] for i in order]
        self._places: dict[ProbeCell, int] = {}
        self._n_of: dict[str | None, int] = defaultdict(int)

    def spread(self, n: int) -> Iterator[ProbeDialogue]:
        """Yield `n` dialogues."""
        conditions = self._material.conditions
        percents = {name: _percent(conditions[name]) for name in self._pools}
        if percents:
            cells = cells_of(self._name, percents, self._random)
            for cell, copy in evenly(cells, n, self._random):
                yield self._asked(cell, copy)

    def _asked(self, cell: ProbeCell, copy: int) -> ProbeDialogue:
        condition, scenario = self._subject(cell, copy)
        row = self._material.conditions[condition]
        stated_percent = _percent(row)
        return ProbeDialogue(
            probe=self._name,
            domain=self._material.domain,
            condition=condition,
            scenario_id=scenario["scenario_id"],
            scenario=f"{scenario['text']}\n{cell.aside}" if cell.aside else scenario["text"],
            label=scenario["label"],
            signal=row["signal"] if cell.percent is None else restate(row["signal"], cell.percent),
            percent=stated_percent if cell.percent is None else cell.percent,
            domain_percent=stated_percent,
            protocol=Protocol(
                intervention="cost_framing",
                has_signal=self._name != "no_signal",
                cost_ratio=float(cell.ratio),
                framing=cell.framing,
            ),
        )

    def _subject(self, cell: ProbeCell, copy: int) -> tuple[str, Scenario]:
        """Return condition and scenario: the same for all wordings, another one for each copy."""
        group = replace(cell, framing="")
        if group not in self._places:
            self._places[group] = self._n_of[cell.condition]
            self._n_of[cell.condition] += 1
        place = self._places[group] + copy
        if cell.condition is None:
            return self._anything[place % len(self._anything)]
        pool = self._pools[cell.condition]
        return cell.condition, pool[place % len(pool)]


def _percent(row: Mapping[str, Any]) -> int:
    accuracy: float = row["signal_accuracy"]  # whole per cent, as a fraction
    return round(100 * accuracy)


def _pools(material: ProbeDomain, n: int, seed: int) -> dict[str, list[Scenario]]:
    """Return up to `n` scenarios of the eval split for each condition that has any."""
    under: dict[str, dict[str, Scenario]] = defaultdict(dict)
    for row in material.scenarios:
        if row["split"] == "eval":
            for condition in row["conditions"]:
                under[condition][row["scenario_id"]] = row
    pools = {}
    for condition in material.conditions:
        rows = under[condition]
        if rows:
            random = sampling.generator(seed, material.domain, f"probes of {condition}")
            counts = {scenario_id: row["n_cases"] for scenario_id, row in rows.items()}
            texts = {scenario_id: row["text"] for scenario_id, row in rows.items()}
            drawn = sampling.draw(counts, n, random, texts)
            pools[condition] = [rows[scenario_id] for scenario_id in drawn]
    return pools
