"""Two models side by side: the conditions that both have, and how differences become rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from escalometer.analysis import ARM, CONDITION, Row
from escalometer.analysis.contrasts import Side, contrast, missing_ways
from escalometer.analysis.measure import Measured
from escalometer.analysis.paired_dialogues import Pairs
from escalometer.analysis.scores import SCORED
from escalometer.stats import Statistic

Arm = tuple[Any, ...]
Condition = tuple[Any, ...]


class Shared(NamedTuple):
    """The conditions that both models have under a variant of the protocol, in one order."""

    conditions: list[Condition]
    first: list[int]
    second: list[int]


class Both:
    """Two models, over the conditions that both have.

    Parameters
    ----------
    measured : Measured
        Of both models.
    pairs : Pairs
    first, second : str

    Attributes
    ----------
    levels : list
        Domains that rows are made for; None stands for all main ones together.
    """

    def __init__(self, measured: Measured, pairs: Pairs, first: str, second: str) -> None:
        self.measured, self.pairs, self.models = measured, pairs, (first, second)
        self.ways = missing_ways(measured)
        self.places: dict[str, dict[Arm, dict[Condition, int]]] = {first: {}, second: {}}
        for i, row in enumerate(measured.curve):
            if row["model"] in self.places:
                arm = tuple(row[name] for name in ARM)
                condition = tuple(row[name] for name in CONDITION)
                self.places[row["model"]].setdefault(arm, {})[condition] = i
        domains = {c[0] for own in self.places.values() for cs in own.values() for c in cs}
        main = [domain for domain in sorted(domains) if domain not in measured.side]
        side = [domain for domain in sorted(domains) if domain in measured.side]
        # A single domain is not told twice: each row takes its toll when p-values are corrected.
        self.levels: list[str | None] = [
            *([None] if main else []),
            *(main if len(main) > 1 else []),
            *side,
        ]
        self._apart = {
            (row["model"], row["domain"], *(row[name] for name in ARM))
            for row in measured.tables["scenario_overlap"].to_pylist()
            if row["n"] == row["n_scenarios"]
        }

    def arms(self) -> list[Arm]:
        """Return the variants of the protocol that both models have."""
        first, second = (self.places[model] for model in self.models)
        return sorted(set(first) & set(second), key=repr)

    def holds(self, domain: str, level: str | None) -> bool:
        """Return whether a domain is of a level."""
        return domain not in self.measured.side if level is None else domain == level

    def shared(self, arm: Arm, level: str | None) -> Shared:
        """Return the conditions of a level that both models have under an arm."""
        first, second = (self.places[model].get(arm, {}) for model in self.models)
        kept = [c for c in sorted(set(first) & set(second), key=repr) if self.holds(c[0], level)]
        return Shared(kept, [first[c] for c in kept], [second[c] for c in kept])

    def is_paired(self, arm: Arm, shared: Shared) -> bool:
        """Return whether both models' dialogues are about known scenarios, some the same."""
        known = self.measured.resamples.take([*shared.first, *shared.second]).has_scenarios
        return known and bool(self.pairs.within(arm, shared.conditions))

    def is_apart(self, arm: Arm, level: str | None) -> bool:
        """Return whether neither model has two dialogues about one scenario."""
        return all((model, level, *arm) in self._apart for model in self.models)

    def contrast(self, shared: Shared, statistic: Statistic, is_paired: bool) -> Row:
        """Return the difference of one statistic over the conditions shared."""
        sides = Side(shared.first, statistic), Side(shared.second, statistic)
        return contrast(self.measured.resamples, *sides, is_paired, self.ways)

    def n(self, places: Sequence[int]) -> int:
        """Return how many dialogues some rows of the curve hold."""
        return sum(self.measured.curve[i]["n"] for i in places)

    def row(
        self, metric: str, arm: Arm, level: str | None, shared: Shared, found: Row, **named: Any
    ) -> Row:
        """Return a row of the comparison: `found`, with all that names it."""
        own = {**dict(zip(ARM, arm, strict=True)), "domain": level, "scored_against": None}
        own["is_cost_stated"] = own["cost_ratio"] is not None  # of the arm, whatever R `named` has
        own |= named
        return {
            "metric": metric,
            **{name: own[name] for name in SCORED},
            "n_conditions": len(shared.conditions),
            "n": [self.n(shared.first), self.n(shared.second)],
            "reason": None,
            **found,
        }
