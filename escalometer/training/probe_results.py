"""Results of the probes: an adapter beside its base model, by the statements under sql/probes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from escalometer import warehouse
from escalometer.documents.probes import (
    GridCell,
    PredictionRow,
    Probe,
    Probes,
    ProbeScore,
    Published,
    PublishedModel,
)
from escalometer.resources import resource
from escalometer.schema import ROLES
from escalometer.training.probe_cells import PROBES

Row: TypeAlias = dict[str, Any]
Against: TypeAlias = Literal["signal", "domain"]

STATEMENTS = ("probe_accuracy", "probe_grid", "probe_mistakes", "probe_predictions")

#: Fine-tuning as published: escalation accuracy in the cells of the grid, a domain held out.
PUBLISHED = Published(
    source="arXiv 2604.08588",
    recipe="LoRA r = 64 on all linear layers, one epoch, about 7,200 examples",
    holdout="movielens",
    without_signal=0.84,
    rows=(
        PublishedModel(
            model="Qwen2.5-7B-Instruct",
            overall=None,
            held_out=None,
            said="close to 100% of cells",
        ),
        PublishedModel(model="Qwen3.5-4B", overall=0.957, held_out=0.967, said=None),
        PublishedModel(model="Qwen3.5-9B", overall=0.873, held_out=0.892, said=None),
    ),
)


def measure(probed: pa.Table) -> dict[str, pa.Table]:
    """Return the table of each statement under sql/probes.

    Parameters
    ----------
    probed : Table
        Rows of `schema.PROBED`.
    """
    with warehouse.connect() as connection:
        warehouse.load_macros(connection)
        warehouse.add_table(connection, "probed", probed)
        return {
            name: warehouse.run_file(connection, resource("sql", "probes", f"{name}.sql"))
            for name in STATEMENTS
        }


def build_probes(tables: Mapping[str, pa.Table], about: Mapping[str, Any]) -> Probes:
    """Return probes.json: an adapter beside its base model.

    Parameters
    ----------
    tables : mapping of str to Table
        From `measure`.
    about : mapping
        Names and settings, which come first in the document.
    """
    mistakes = tables["probe_mistakes"].to_pylist()
    rows = {
        (row["probe"], row["scored_against"], row["model_role"]): row
        for row in tables["probe_accuracy"].to_pylist()
    }
    entries = []
    for probe in PROBES:
        for against in scored_against(probe):
            by_role = {role: rows.get((probe, against, role)) for role in ROLES}
            base, tuned = by_role["base"], by_role["tuned"]
            if base is None or tuned is None:
                continue
            entries.append(
                Probe(
                    probe=probe,
                    scored_against=against,
                    n=base["n"],
                    n_scenarios=base["n_scenarios"],
                    always_escalate=base["always_escalate"],
                    always_implement=base["always_implement"],
                    base=_score(base, mistakes),
                    tuned=_score(tuned, mistakes),
                )
            )
    return Probes(
        **about,
        probes=tuple(entries),
        grid=tuple(GridCell(**row) for row in tables["probe_grid"].to_pylist()),
        predictions=tuple(PredictionRow(**row) for row in tables["probe_predictions"].to_pylist()),
        published=PUBLISHED,
    )


def scored_against(probe: str) -> tuple[Against, ...]:
    """Return what decides which action is right in a probe: the signal, the domain, or each."""
    ways: dict[str, tuple[Against, ...]]
    ways = {"no_signal": ("domain",), "wrong_signal": ("signal", "domain")}
    return ways.get(probe, ("signal",))


def _score(row: Row, mistakes: list[Row]) -> ProbeScore:
    return ProbeScore(
        estimate=row["escalation_accuracy"],
        low=row["escalation_accuracy_low"],
        high=row["escalation_accuracy_high"],
        n_right=row["n_right"],
        n_unparsed=row["n_unparsed"],
        n_forced=row["n_forced"],
        mistakes=_mistakes(mistakes, row["probe"], row["model_role"]),
    )


def _mistakes(rows: list[Row], probe: str, role: str) -> dict[str, int]:
    """Return how often each kind occurs, most frequent first."""
    kinds = [row for row in rows if row["probe"] == probe and row["model_role"] == role]
    ordered = sorted(kinds, key=lambda row: (-row["n"], row["mistake"]))
    return {row["mistake"]: row["n"] for row in ordered}
