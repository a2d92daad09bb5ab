"""Two models over the conditions that both have, and how differences become rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from escalometer.analysis import ConditionKey, VariantKey, condition_key, variant_key
from escalometer.analysis.contrasts import Contrast, Term, completed_counts, contrast
from escalometer.analysis.measure import Measured
from escalometer.analysis.paired_dialogues import Pairs
from escalometer.documents import SCORED_KEY, VARIANT_KEY
from escalometer.documents.comparison import ModelDifference
from escalometer.stats import Statistic


class Shared(NamedTuple):
    """The conditions that both models have under a variant of the protocol, in one order."""

    conditions: list[ConditionKey]
    first: list[int]
    second: list[int]


class MatchedConditions:
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
        self.completed = completed_counts(measured)
        self.places: dict[str, dict[VariantKey, dict[ConditionKey, int]]] = {first: {}, second: {}}
        for i, row in enumerate(measured.curve):
            if row["model"] in self.places:
                conditions = self.places[row["model"]].setdefault(variant_key(row), {})
                conditions[condition_key(row)] = i
        domains = sorted(
            {
                condition[0]
                for variants in self.places.values()
                for conditions in variants.values()
                for condition in conditions
            }
        )
        main = [domain for domain in domains if domain not in measured.side_domains]
        # A single domain has no row beside the pooled one: each row counts in the correction.
        self.levels: list[str | None] = [
            *([None] if main else []),
            *(main if len(main) > 1 else []),
            *(domain for domain in domains if domain in measured.side_domains),
        ]
        self._apart = {
            (row["model"], row["domain"], *variant_key(row))
            for row in measured.tables["scenario_overlap"].to_pylist()
            if row["n"] == row["n_scenarios"]
        }

    def variants(self) -> list[VariantKey]:
        """Return the variants of the protocol that both models have."""
        first, second = (self.places[model] for model in self.models)
        return sorted(set(first) & set(second), key=repr)

    def is_of(self, domain: str, level: str | None) -> bool:
        """Return whether a domain is of a level."""
        return domain not in self.measured.side_domains if level is None else domain == level

    def shared(self, variant: VariantKey, level: str | None) -> Shared:
        """Return the conditions of a level that both models have under a variant."""
        first, second = (self.places[model].get(variant, {}) for model in self.models)
        conditions = [
            condition
            for condition in sorted(set(first) & set(second), key=repr)
            if self.is_of(condition[0], level)
        ]
        return Shared(conditions, [first[c] for c in conditions], [second[c] for c in conditions])

    def is_paired(self, variant: VariantKey, shared: Shared) -> bool:
        """Return whether both models' dialogues are about known scenarios, some the same."""
        known = self.measured.resamples.take([*shared.first, *shared.second]).has_scenarios
        return known and bool(self.pairs.within(variant, shared.conditions))

    def is_apart(self, variant: VariantKey, level: str | None) -> bool:
        """Return whether neither model has two dialogues about one scenario."""
        return all((model, level, *variant) in self._apart for model in self.models)

    def contrast(
        self, shared: Shared, statistic: Statistic, is_paired: bool, is_fit: bool = False
    ) -> Contrast:
        """Return the difference of one statistic over the conditions shared."""
        first, second = Term(shared.first, statistic), Term(shared.second, statistic)
        return contrast(self.measured.resamples, first, second, is_paired, self.completed, is_fit)

    def n(self, places: Sequence[int]) -> int:
        """Return how many dialogues some rows of the curve have."""
        return sum(self.measured.curve[i]["n"] for i in places)

    def row(
        self,
        metric: str,
        variant: VariantKey,
        level: str | None,
        shared: Shared,
        found: Contrast,
        **changes: Any,
    ) -> ModelDifference:
        """Return a row of the comparison: a contrast with all that names it.

        Parameters
        ----------
        metric : str
        variant : tuple
        level : str or None
        shared : Shared
        found : Contrast
        **changes
            Fields that differ from those of the variant and of the conditions shared.
        """
        named = dict(zip(VARIANT_KEY, variant, strict=True))
        named["is_cost_stated"] = named["cost_ratio"] is not None  # whatever R `changes` have
        named["scored_against"] = None
        fields = {
            **{name: named[name] for name in SCORED_KEY},
            "n_conditions": len(shared.conditions),
            "n": (self.n(shared.first), self.n(shared.second)),
            **vars(found),
            **changes,
        }
        return ModelDifference(metric=metric, domain=level, **fields, p_corrected=None)
