"""Stage sample: one domain's raw rows to cases, conditions with signals, and scenarios."""

from __future__ import annotations

import sys
from pathlib import Path

from escalometer import layout
from escalometer.cases import catalog
from escalometer.cases.scenarios import sample_scenarios
from escalometer.cases.staging import stage_table
from escalometer.config import Params
from escalometer.runtime.files import read_json, write_json
from escalometer.schema import CONDITIONS, SCENARIOS, write_table


def run(domain: str, params: Params, root: Path = Path()) -> None:
    """Write data/scenarios/<domain>/{table,conditions,scenarios}.parquet and domain.json.

    Conditions and splits are over all cases; the signal's percentage is computed on the signal
    split, scenarios to evaluate are drawn from the eval split, and the two never share a key.

    Parameters
    ----------
    domain : str
        Name of the domain.
    params : Params
        Uses `seed` and `sample`.
    root : Path, default the working folder
        The project.

    Raises
    ------
    UsageError
        If there is no such domain.
    DataError
        If the raw files do not load, a case has no label, or no condition has cases enough.
    """
    plugin = catalog.load(domain, root)
    cases = stage_table(plugin, params, layout.raw_folder(domain, root))
    sampled = sample_scenarios(plugin, cases, params)
    warnings = plugin.warnings() if plugin.warnings is not None else []
    for note in [*sampled.notes, *warnings]:
        print(f"warning: {domain}: {note}", file=sys.stderr)
    provenance = read_json(layout.provenance_file(domain, root))
    write_table(sampled.cases, sampled.cases.schema, layout.cases_file(domain, root))
    write_table(sampled.conditions, CONDITIONS, layout.conditions_file(domain, root))
    write_table(sampled.scenarios, SCENARIOS, layout.scenarios_file(domain, root))
    # All data on the domain that later stages need, so that none of them loads the domain again.
    description = {
        "domain": domain,
        "title": plugin.title,
        "is_main": plugin.is_main,
        "edition": provenance["edition_name"],
        "order": params.sample.order,
        "warnings": list(warnings),
        "task": {
            "question": plugin.task.question,
            "decider": plugin.task.decider,
            "meanings": list(plugin.task.meanings),
        },
    }
    write_json(description, layout.domain_file(domain, root))
