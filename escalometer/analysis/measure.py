"""Decisions of one or more models, measured: metric tables, and resamples of their conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from escalometer import stats, warehouse
from escalometer.analysis import ANSWERED, Row, Tables, condition_key, curve_key
from escalometer.resources import resource
from escalometer.stats import Counts, Resamples

#: Cost ratios of the curves; whole numbers from a person's mistake being no worse to a hundredfold.
CURVE_RATIOS = tuple(float(ratio) for ratio in range(1, 101))

#: Ways that all missing answers could have gone: (predicted right, escalated).
COMPLETIONS = ((True, True), (True, False), (False, True), (False, False))

#: Metrics with a row of each domain, and one with domain null of all main ones together.
LEVELLED = (
    "calibration",
    "cost_curve",
    "escalation_accuracy",
    "implicit_threshold",
    "realized_cost",
    "reliability",
    "scenario_overlap",
    "self_estimate_summary",
)


@dataclass(frozen=True)
class Measured:
    """Metric tables of decisions, and resamples of their conditions.

    Attributes
    ----------
    tables : mapping of str to Table
        Every metric's, as `warehouse.run_metrics` gives them.
    completed : sequence of mapping
        The metrics again, for each of `COMPLETIONS`; empty where no answer is missing.
    curve : list of dict
        Rows of the escalation curve.
    resamples : Resamples
        Of the curve's rows, in their order.
    side_domains : tuple of str
        Domains that stay out of what pools domains.
    human_error_rate : float
        h, in [0, 1).
    scored : Table
        Answered dialogues with a confidence or a probability of their choice.
    """

    tables: Tables
    completed: tuple[Tables, ...]
    curve: list[Row]
    resamples: Resamples
    side_domains: tuple[str, ...]
    human_error_rate: float
    scored: pa.Table

    def on(self, domain: str) -> Measured:
        """Return what was measured of one domain alone, as if it were the only main one.

        Without what resamples give and without bounds: the estimates are the same as those of a
        measurement of this domain, and take none of its time. There is no summary of the study's
        line, which is that of all main domains here.
        """
        places = self.places(lambda row: bool(row["domain"] == domain))
        tables = {name: _on(table, domain) for name, table in self.tables.items()}
        for name in LEVELLED:
            alone = tables[name]
            place = alone.schema.get_field_index("domain")
            nulls = pa.nulls(alone.num_rows, alone.schema.field("domain").type)
            together = alone.set_column(place, alone.schema.field("domain"), nulls)
            tables[name] = pa.concat_tables([alone, together])
        tables["self_estimate_summary"] = tables["self_estimate_summary"].slice(0, 0)
        return Measured(
            tables,
            (),
            [self.curve[i] for i in places],
            self.resamples.take(places).without_draws(),
            (),
            self.human_error_rate,
            _on(self.scored, domain),
        )

    def places(self, predicate: Callable[[Row], bool]) -> list[int]:
        """Return the places of the rows of the curve that satisfy a predicate."""
        return [i for i, row in enumerate(self.curve) if predicate(row)]


def _on(table: pa.Table, domain: str) -> pa.Table:
    """Return the rows about a domain; by Arrow's own scalars, since others import pandas."""
    column = table.column("domain")
    found = next((value for value in column.unique() if value.as_py() == domain), None)
    return table.slice(0, 0) if found is None else table.filter(pc.equal(column, found))


def measure(
    connection: warehouse.Connection,
    cost_ratios: Sequence[float],
    human_error_rate: float,
    side_domains: Sequence[str],
    seed: int,
    n_bootstrap: int,
    outcome_counts: pa.Table | None = None,
) -> Measured:
    """Return the metrics of the table or view `decisions`, and resamples of its conditions.

    Parameters
    ----------
    connection : warehouse.Connection
        Holds `decisions` with the columns of `decisions.COLUMNS`.
    cost_ratios : sequence of float
        R at which interventions that state none are scored, each above 1.
    human_error_rate : float
        h, in [0, 1).
    side_domains : sequence of str
        Domains that stay out of what pools domains.
    seed : int
        Where the randomness of the resamples comes from.
    n_bootstrap : int
        Resamples of each kind.
    outcome_counts : Table, optional
        The metric of that name, counted elsewhere; `decisions` may then have no rows.
    """
    known = {} if outcome_counts is None else {"outcome_counts": outcome_counts}
    values: dict[str, Any] = {
        "cost_ratios": list(cost_ratios),
        "curve_ratios": list(CURVE_RATIOS),
        "human_error_rate": human_error_rate,
        "side_domains": sorted(side_domains),
    }
    tables = warehouse.run_metrics(connection, values, known=known)
    curve = tables["escalation_curve"].to_pylist()
    scenarios, n_scenarios, left_out = _scenario_counts(connection, curve, seed, n_bootstrap)
    completed: list[Tables] = []
    if any(row["status"] not in ANSWERED for row in tables["statuses"].to_pylist()):
        only = warehouse.dependents("escalation_curve", without="decisions")
        for filled_correct, filled_escalated in COMPLETIONS:
            filled = {"filled_correct": filled_correct, "filled_escalated": filled_escalated}
            completed.append(warehouse.run_metrics(connection, values | filled, only=only))
    resamples = Resamples.draw(
        [curve_key(row) for row in curve],
        [condition_key(row) for row in curve],
        condition_counts(curve),
        seed,
        n_bootstrap,
        scenarios,
        n_scenarios,
        left_out,
    )
    return Measured(
        tables,
        tuple(completed),
        curve,
        resamples,
        tuple(sorted(side_domains)),
        human_error_rate,
        warehouse.run_file(connection, resource("sql", "resamples", "scored_dialogues.sql")),
    )


def condition_counts(rows: Sequence[Row]) -> Counts:
    """Return the outcome counts of rows of a metric table, shape (len(rows), 4)."""
    names = ("n", "n_correct", "n_escalated", "n_wrong_implemented")
    return stats.outcome_counts(*([row[name] for row in rows] for name in names))


def _scenario_counts(
    connection: warehouse.Connection, curve: Sequence[Row], seed: int, n_bootstrap: int
) -> tuple[Counts | None, np.ndarray[Any, np.dtype[np.int64]], Counts | None]:
    """Return resamples of scenarios, how many each row has, and counts with groups left out.

    Null where no scenario is known. Scenarios are drawn within their domain, the same ones for all
    models and interventions: that is what pairs them.
    """
    known = np.zeros(len(curve), dtype=np.int64)
    rows = warehouse.fetch_file(connection, resource("sql", "resamples", "scenario_outcomes.sql"))
    cell, scenario, outcome, n = (rows[name] for name in ("cell", "scenario", "outcome", "n"))
    if len(cell) == 0:
        return None, known, None
    n_known = np.bincount(cell, weights=n, minlength=len(curve)).astype(np.int64)
    total = np.array([row["n"] for row in curve], dtype=np.int64)
    drawn = np.zeros((n_bootstrap, len(curve), 4), dtype=np.int64)
    left_out = np.zeros((stats.N_GROUPS, len(curve), 4), dtype=np.int64)
    domains = np.array([row["domain"] for row in curve])
    for domain in np.unique(domains):
        cells = np.flatnonzero(domains == domain)
        inside = np.isin(cell, cells)
        if not inside.any():
            continue
        different, number = np.unique(scenario[inside], return_inverse=True)
        place = np.searchsorted(cells, cell[inside])
        rng = stats.generator(seed, domain)
        rows_inside = (number, place, outcome[inside], n[inside], len(cells))
        drawn[:, cells] = stats.resample_scenarios(rng, *rows_inside, n_bootstrap)
        rng = stats.generator(seed, ("groups", domain))
        left_out[:, cells] = stats.leave_scenarios_out(rng, *rows_inside)
        known[cells] = len(different)
    known[n_known < total] = 0  # the scenario of some dialogues of the row is unknown
    return drawn, known, left_out
