"""Decisions of the pipeline: loaded by model and domain, and measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from escalometer import layout, warehouse
from escalometer.analysis.measure import Measured, measure
from escalometer.cases import catalog
from escalometer.config import Params
from escalometer.errors import DataError
from escalometer.schema import DECISIONS, read_table

#: Columns of decisions that the metrics read.
COLUMNS = (
    "model",
    "domain",
    "condition",
    "scenario_id",
    "replicate",
    "intervention",
    "signal_accuracy",
    "has_signal",
    "is_thinking",
    "is_isolated",
    "reasoning_effort",
    "cost_ratio",
    "framing",
    "force_answer",
    "label",
    "prediction",
    "escalate",
    "status",
    "stated_confidence",
    "prediction_probability",
    "resolved_model",
)


def load_decisions(model: str, domains: Sequence[str], root: Path = Path()) -> pa.Table:
    """Return the decisions of `model` on `domains` as the pipeline has stored them.

    Raises
    ------
    DataError
        If a file is absent or lacks a column.
    """
    files = {domain: layout.decisions_file(model, domain, root) for domain in domains}
    absent = ",".join(domain for domain, file in files.items() if not file.exists())
    if absent:
        raise DataError(
            f"{model} has not been evaluated on {absent}: run `escalometer evaluate {model} "
            f"--domains {','.join(domains)}`"
        )
    return pa.concat_tables([read_table(file, DECISIONS) for file in files.values()])


def pool_isolated(decisions: pa.Table) -> pa.Table:
    """Return the decisions with isolated second turns counted among the others.

    That is how the study counted them; it hides that a model acts differently on a prediction that
    it is told of. What it states of costs says where an isolated dialogue belongs.
    """
    intervention = decisions.column("intervention")
    stated = pc.is_valid(decisions.column("cost_ratio"))
    pooled = pc.if_else(
        pc.equal(intervention, "isolated"),
        pc.if_else(stated, "cost_framing", "baseline"),
        intervention,
    )
    never = pa.array([False] * decisions.num_rows, pa.bool_())
    for name, values in (("intervention", pooled), ("is_isolated", never)):
        place = decisions.schema.get_field_index(name)
        decisions = decisions.set_column(place, decisions.schema.field(name), values)
    return decisions


def measure_decisions(
    decisions: pa.Table, params: Params, domains: Sequence[str] | None = None
) -> Measured:
    """Return the metrics of decisions, of one model or more, and resamples of their conditions.

    Parameters
    ----------
    decisions : Table
        With at least the columns named in `COLUMNS`, typed as in `schema.DECISIONS`.
    params : Params
        Uses `seed` and `analyze`.
    domains : sequence of str, optional
        Only these. If all of them are side domains they are analyzed as if they were main ones.
    """
    rows = decisions.select(list(COLUMNS))
    if domains is not None:
        rows = warehouse.choose_rows(rows, {"domain": domains})
    with warehouse.connect() as connection:
        warehouse.add_table(connection, "decisions", rows)
        return measure_table(connection, rows, params, domains)


def measure_table(
    connection: warehouse.Connection,
    about: pa.Table,
    params: Params,
    domains: Sequence[str] | None = None,
    outcome_counts: pa.Table | None = None,
) -> Measured:
    """Return the metrics of the table `decisions`, and resamples of its conditions.

    Parameters
    ----------
    connection : Connection
        Holds `decisions`.
    about : Table
        Has every domain of the decisions in its column ``domain``.
    params, domains
        As for `measure_decisions`.
    outcome_counts : Table, optional
        As for `measure`.
    """
    present = about.column("domain").unique().to_pylist()
    return measure(
        connection,
        params.analyze.cost_ratios,
        params.analyze.human_error_rate,
        side_domains(present, domains),
        params.seed,
        params.analyze.n_bootstrap,
        outcome_counts,
    )


def measure_counts(
    outcome_counts: pa.Table, params: Params, domains: Sequence[str] | None = None
) -> Measured:
    """Return the metrics of decisions of which only the outcome counts are known.

    They are those of the same decisions without scenarios and without confidences: dialogues are
    resampled as independent ones, and none are paired.

    Parameters
    ----------
    outcome_counts : Table
        As sql/metrics/outcome_counts.sql selects it.
    params : Params
        Uses `seed` and `analyze`.
    domains : sequence of str, optional
        As for `measure_decisions`.
    """
    if domains is not None:
        outcome_counts = warehouse.choose_rows(outcome_counts, {"domain": domains})
    with warehouse.connect() as connection:
        schema = pa.schema([DECISIONS.field(name) for name in COLUMNS])
        warehouse.add_table(connection, "decisions", schema.empty_table())
        return measure_table(connection, outcome_counts, params, domains, outcome_counts)


def side_domains(present: Iterable[str], asked: Sequence[str] | None = None) -> list[str]:
    """Return the domains that stay out of what pools domains, in alphabetical order.

    Parameters
    ----------
    present : iterable of str
        Domains of the decisions.
    asked : sequence of str, optional
        Domains that the user named; if these are all side domains, none stays out.
    """
    found = {name for name in present if not catalog.is_main(name)}
    if asked is not None and set(present) <= found:
        return []
    return sorted(found)
