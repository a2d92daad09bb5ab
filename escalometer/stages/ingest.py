"""Stage ingest: the raw files of one domain, and a record of their origin."""

from __future__ import annotations

from pathlib import Path

from escalometer import layout
from escalometer.cases import catalog
from escalometer.cases.provenance import bring, describe, fetched
from escalometer.runtime.files import write_json


def run(domain: str, root: Path = Path()) -> None:
    """Bring the missing files of data/raw/<domain>/, check that they load, write provenance.json.

    A raw file that is already there is kept: this is how a user puts their own rows, in the same
    columns, in place of those that ship with the project.

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
    plugin = catalog.load(domain, root)
    record = layout.provenance_file(domain, root)
    record.unlink(missing_ok=True)  # it describes files that may change now
    edition = bring(plugin, layout.raw_folder(domain, root))
    write_json(describe(plugin, edition, fetched(domain, root)), record)
