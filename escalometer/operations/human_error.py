"""The human error rate of a domain, where its data have the judgements of single people."""

from __future__ import annotations

from pathlib import Path

from escalometer import layout, warehouse
from escalometer.cases import catalog, raw_files
from escalometer.cases.provenance import how_to_get
from escalometer.documents import HumanErrorRate
from escalometer.documents.interval import SimpleInterval
from escalometer.errors import DataError, UsageError
from escalometer.resources import files, resource, stem
from escalometer.stats.human_error import persons_error


def estimate(domain: str, root: Path = Path()) -> HumanErrorRate:
    """Return the error rate of one person, from disagreement about the same cases.

    Parameters
    ----------
    domain : str
        Its statement is `sql/agreement/<domain>__<edition>.sql`.
    root : Path
        The project.

    Raises
    ------
    UsageError
        If there is no such domain, or its data have no judgements of single people.
    DataError
        If its raw files are absent, or no case has two judgements.
    """
    plugin = catalog.load(domain, root)
    known = [stem(file) for file in files(resource("sql", "agreement"), ".sql")]
    of_domain = [name for name in known if name.startswith(f"{domain}__")]
    if not of_domain:
        raise UsageError(
            f"the data of {domain} have one label per case, so the error rate of a person cannot "
            "be estimated: set analyze.human_error_rate in params.yaml from another source"
        )
    folder = layout.raw_folder(domain, root)
    present = raw_files.present(plugin, folder)
    if present is None:
        raise DataError(f"{folder} holds no files of {plugin.title}; {how_to_get(plugin)}")
    name = f"{domain}__{present.edition.name}"
    if name not in of_domain:
        editions = ", ".join(other.partition("__")[2] for other in of_domain)
        raise UsageError(
            f"the {present.edition.name} edition of {domain} has one label per case; judgements of "
            f"single people are in: {editions}. {how_to_get(plugin)}"
        )
    with warehouse.connect() as connection:
        for table in present.edition.raw_tables:
            warehouse.load_raw(connection, table, present.files[table.name])
        rows = warehouse.run_file(connection, resource("sql", "agreement", f"{name}.sql"))
    # Sums of DuckDB are decimals.
    counted = [tuple(int(value) for value in row.values()) for row in rows.to_pylist()]
    found = persons_error((n, k, times) for n, k, times in counted)
    if found is None:
        raise DataError(f"{folder}: no case was judged by two people")
    return HumanErrorRate(
        domain=domain,
        edition=present.edition.name,
        n_cases=found.n_cases,
        disagreement=found.disagreement,
        human_error_rate=SimpleInterval(estimate=found.estimate, low=found.low, high=found.high),
    )
