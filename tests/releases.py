"""Decisions of releases that are made up, two of them on the same scenarios if so wished."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from escalometer import schema
from tests.sql._tables import DEFAULTS, TEXTS

SIGNALS = (0.52, 0.6, 0.67, 0.72, 0.76, 0.8, 0.86, 0.92)
DOMAINS = ("movielens", "hmda_mortgages")


def release(
    model: str,
    n: int = 250,
    threshold: float = 0.75,
    width: float = 0.04,
    skill: float = 0.0,
    unanswered: float = 0.0,
    noise: float = 0.1,
    seed: int = 0,
    domains: tuple[str, ...] = DOMAINS,
    has_scenarios: bool = True,
    **stated: Any,
) -> list[dict[str, Any]]:
    """Rows of decisions: `n` scenarios in each of eight conditions of each domain.

    Cases, and how hard they are, depend on `seed` alone: releases of one seed are paired.
    Escalation falls from one to nothing about `threshold`, over about `width`.

    Parameters
    ----------
    skill : float
        Added to the chance of being right in every condition.
    unanswered : float
        Share of dialogues that nothing can be read of.
    noise : float
        Share of cases in which the release draws afresh.
    """
    own = np.random.default_rng([seed, zlib.crc32(model.encode())])
    rows = []
    for number, domain in enumerate(domains):
        cases = np.random.default_rng([seed, number])
        for place, signal in enumerate(SIGNALS):
            shared = cases.random((n, 2))
            draws = np.where(own.random((n, 1)) < noise, own.random((n, 2)), shared)
            right = draws[:, 0] < signal + skill
            rate = 1 / (1 + np.exp((signal - threshold) / width))
            escalated = draws[:, 1] < rate
            missing = own.random(n) < unanswered
            for i in range(n):
                is_missing = bool(missing[i])
                rows.append(
                    {
                        **DEFAULTS,
                        "model": model,
                        "domain": domain,
                        "condition": f"c{place}",
                        "signal_accuracy": signal,
                        "scenario_id": f"{domain}-{place}-{i}" if has_scenarios else None,
                        "prediction": None if is_missing else int(right[i]),
                        "escalate": None if is_missing else int(escalated[i]),
                        "status": "unparsed" if is_missing else "ok",
                        **stated,
                    }
                )
    return rows


def table(*releases: list[dict[str, Any]]) -> pa.Table:
    """The decisions of all in one table; columns may be null, as in what others recorded."""
    rows = [row for rows in releases for row in rows]
    fields = [field.with_nullable(True) for field in schema.DECISIONS if field.name not in TEXTS]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def store(rows: list[dict[str, Any]], root: Path) -> None:
    """Put the decisions of one release where the pipeline keeps them."""
    texts = {name: "" if name == "prompt" else None for name in TEXTS} | {"decision_prompt": ""}
    for domain in sorted({row["domain"] for row in rows}):
        own = [{**texts, **row} for row in rows if row["domain"] == domain]
        path = root / "data" / "decisions" / own[0]["model"] / f"{domain}.parquet"
        schema.write_table(own, schema.DECISIONS, path)
