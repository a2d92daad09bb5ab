"""Stage ingest: the raw files of one domain, and a record of where they come from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from escalometer import domains, warehouse
from escalometer.domains import Domain
from escalometer.stages import write_json

EMBEDDED, SUPPLIED = "embedded edition", "supplied by the user"


def run(domain: str, root: Path = Path()) -> None:
    """Fetch what data/raw/<domain>/ lacks, check that it loads, write its provenance.json.

    A raw file that is already there is kept: this is how a user puts their own rows, in the same
    columns, in place of the embedded ones.

    Parameters
    ----------
    domain : str
        Name of the domain.
    root : Path, default the working folder
        The project.

    Raises
    ------
    UsageError
        If there is no such domain.
    DataError
        If a raw file cannot be had, lacks a column, has no rows, or has a value of another type.
    """
    plugin = domains.load(domain)
    folder = root / "data" / "raw" / domain
    record = folder / "provenance.json"
    record.unlink(missing_ok=True)  # it would speak of files that are no longer those
    folder.mkdir(parents=True, exist_ok=True)
    plugin.fetch(folder)
    write_json(_provenance(plugin, folder), record)


def _provenance(plugin: Domain, folder: Path) -> dict[str, Any]:
    connection = warehouse.connect()
    files = []
    for raw_table in plugin.raw_tables:
        path = warehouse.raw_file(raw_table, folder)
        n_rows = warehouse.read_raw(connection, raw_table, path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        is_embedded = sha256 == plugin.provenance.get(f"{raw_table.name}_sha256")
        files.append(
            {
                "file": path.name,
                "origin": EMBEDDED if is_embedded else SUPPLIED,
                "n_rows": n_rows,
                "sha256": sha256,
            }
        )
    described = dict(plugin.provenance)
    if any(file["origin"] == SUPPLIED for file in files):
        # What we know of our edition's origin and licence says nothing of somebody else's rows.
        described = {
            "source": SUPPLIED,
            "edition": f"not the embedded one ({plugin.provenance['edition']})",
            "licence": "unknown: ask who supplied the file",
            "citation": plugin.provenance["citation"],
            "decisions_of": plugin.provenance["decisions_of"],
        }
    return {"domain": plugin.name, "title": plugin.title, **described, "files": files}
