"""An adapter beside its base model: the statements under sql/probes, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from escalometer import layout, warehouse
from escalometer.schema import ROLES
from escalometer.training.probe_cells import PROBES

Row: TypeAlias = dict[str, Any]

FOLDER = Path("probes")

STATEMENTS = ("probe_accuracy", "probe_grid", "probe_mistakes", "probe_predictions")

#: Fine-tuning as published: escalation accuracy in the cells of the grid, a domain held out.
PUBLISHED: dict[str, Any] = {
    "source": "arXiv 2604.08588",
    "recipe": "LoRA r = 64 on all linear layers, one epoch, about 7,200 examples",
    "holdout": "movielens",
    "without_signal": 0.84,
    "rows": [
        {
            "model": "Qwen2.5-7B-Instruct",
            "overall": None,
            "held_out": None,
            "said": "close to 100 % of cells",
        },
        {"model": "Qwen3.5-4B", "overall": 0.957, "held_out": 0.967, "said": None},
        {"model": "Qwen3.5-9B", "overall": 0.873, "held_out": 0.892, "said": None},
    ],
}


def measure(probed: pa.Table, folder: Path = layout.SQL_FOLDER) -> dict[str, pa.Table]:
    """Return the table of each statement under sql/probes.

    Parameters
    ----------
    probed : Table
        Rows of `schema.PROBED`.
    folder : Path
        The folder of all statements.
    """
    with warehouse.connect() as connection:
        warehouse.load_macros(connection, folder)
        warehouse.add_table(connection, "probed", probed)
        return {
            name: warehouse.run_file(connection, folder / FOLDER / f"{name}.sql")
            for name in STATEMENTS
        }


def document(tables: Mapping[str, pa.Table], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return probes.json: what a report says of one adapter.

    Parameters
    ----------
    tables : mapping of str to Table
        From `measure`.
    about : mapping
        Names and settings, which come first in the document.

    Returns
    -------
    dict
        ``probes``: one entry a probe and what it is scored against, each with ``n`` dialogues about
        ``n_scenarios``, what blind rules would get, and for each of `schema.ROLES` the escalation
        accuracy with its interval, counts of answers that could not be read or had to be closed,
        and mistakes by kind.
        ``grid``: rows of sql/probes/probe_grid.sql. ``predictions``: turn 1, before and after.
        ``published``: see `PUBLISHED`.
    """
    mistakes = tables["probe_mistakes"].to_pylist()
    found = {
        (row["probe"], row["scored_against"], row["model_role"]): row
        for row in tables["probe_accuracy"].to_pylist()
    }
    entries = []
    for probe in PROBES:
        for against in scored_against(probe):
            both = [found.get((probe, against, role)) for role in ROLES]
            if both[0] is None or both[1] is None:
                continue
            entries.append(
                {
                    "probe": probe,
                    "scored_against": against,
                    "n": both[0]["n"],
                    "n_scenarios": both[0]["n_scenarios"],
                    "always_escalate": both[0]["always_escalate"],
                    "always_implement": both[0]["always_implement"],
                    **{
                        role: {**_share(row), "mistakes": _mistakes(mistakes, probe, role)}
                        for role, row in zip(ROLES, both, strict=True)
                        if row is not None
                    },
                }
            )
    return {
        **about,
        "probes": entries,
        "grid": tables["probe_grid"].to_pylist(),
        "predictions": tables["probe_predictions"].to_pylist(),
        "published": PUBLISHED,
    }


def scored_against(probe: str) -> tuple[str, ...]:
    """Return what decides which action is right in a probe: the signal, the domain, or each."""
    ways = {"no_signal": ("domain",), "wrong_signal": ("signal", "domain")}
    return ways.get(probe, ("signal",))


def _share(row: Row) -> dict[str, Any]:
    return {
        "estimate": row["escalation_accuracy"],
        "low": row["escalation_accuracy_low"],
        "high": row["escalation_accuracy_high"],
        "n_right": row["n_right"],
        "n_unparsed": row["n_unparsed"],
        "n_forced": row["n_forced"],
    }


def _mistakes(rows: list[Row], probe: str, role: str) -> dict[str, int]:
    """Return how often each kind occurs, most frequent first."""
    mine = [row for row in rows if row["probe"] == probe and row["model_role"] == role]
    ordered = sorted(mine, key=lambda row: (-row["n"], row["mistake"]))
    return {row["mistake"]: row["n"] for row in ordered}
