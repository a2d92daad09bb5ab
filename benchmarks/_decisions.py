"""Generated decisions for the analysis benchmark: partitioned Parquet, as many as asked for."""

from __future__ import annotations

from pathlib import Path

import duckdb

#: 4 models, 5 domains of 10 conditions, 6 variants of the protocol; each scenario stands under two
#: conditions, and all models and variants are asked about it.
N_CELLS = 4 * 5 * 10 * 6

_GENERATE = """
copy (
    with numbers as (
        select range as i, (range % $n_cells)::int as cell, range // $n_cells as s
        from range($n_rows)
    ),
    parts as (
        select
            s, cell % 4 as m, (cell // 4) % 5 as d, (cell // 20) % 10 as c, cell // 200 as a,
            (hash(i, 1) % 1000000) / 1e6 as first_draw,
            (hash(i, 2) % 1000000) / 1e6 as second_draw,
            (hash(i, 3) % 2)::tinyint as label
        from numbers
    )
    select
        'model-' || m as model,
        [
            'hotel_bookings', 'lending_club', 'wikipedia_toxicity', 'movielens', 'moral_machine'
        ][d + 1] as domain,
        'condition_' || c as condition,
        case when $has_scenarios then 's' || (s * 5 + c // 2) end as scenario_id,
        0::bigint as replicate,
        ['baseline', 'no_signal', 'cost_framing', 'cost_framing', 'isolated', 'thinking'][a + 1]
            as intervention,
        (0.5 + 0.05 * c)::double as signal_accuracy,
        a <> 1 as has_signal,
        a = 5 as is_thinking,
        a = 4 as is_isolated,
        null::varchar as reasoning_effort,
        case a when 2 then 4.0 when 3 then 20.0 end::double as cost_ratio,
        case a when 2 then 'ratio' when 3 then 'words' end as framing,
        false as force_answer,
        label,
        case when first_draw < 0.5 + 0.05 * c then label else 1 - label end::tinyint as prediction,
        (second_draw < 0.7 - 0.05 * c + 0.02 * m)::tinyint as escalate,
        'ok' as status,
        null::double as stated_confidence,
        null::double as prediction_probability,
        null::varchar as resolved_model
    from parts
) to '{folder}' (format parquet, partition_by (model), overwrite_or_ignore)
"""


def generate(n_rows: int, folder: Path, has_scenarios: bool) -> str:
    """Write decisions under `folder`, one folder a model, and return the pattern of their files."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"threads": 2, "memory_limit": "3GB"}) as connection:
        connection.execute(
            _GENERATE.format(folder=folder),
            {"n_rows": n_rows, "n_cells": N_CELLS, "has_scenarios": has_scenarios},
        )
    return str(folder / "*" / "*.parquet")
