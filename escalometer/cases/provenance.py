"""Provenance: the files of a domain, their origin, and instructions for getting them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from escalometer import warehouse
from escalometer.cases import raw_files
from escalometer.cases.domains import Domain
from escalometer.cases.raw_files import Found
from escalometer.errors import DataError
from escalometer.layout import fetched_file
from escalometer.runtime.files import digest, read_json
from escalometer.warehouse.table_files import opened

SUPPLIED = "supplied by the user"


def bring(plugin: Domain, folder: Path) -> Found:
    """Return the edition that `folder` holds, after writing the one that ships, if any.

    Raises
    ------
    DataError
        If no edition is there and none ships with the project; the message says how to get one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for edition in plugin.editions:
        # A user's table is copied again where it has changed; see `own_domain.build`.
        if edition.bring is not None and (plugin.stage or not raw_files.present(plugin, folder)):
            edition.bring(folder)
            break
    present_edition = raw_files.present(plugin, folder)
    if present_edition is None:
        raise DataError(f"{folder} holds no files of {plugin.title}; {how_to_get(plugin)}")
    return present_edition


def how_to_get(plugin: Domain) -> str:
    """Return instructions for getting the domain's files."""
    if any(edition.bring for edition in plugin.editions):
        return f"run: escalometer stage ingest --cell {plugin.name}"
    if any(edition.downloads for edition in plugin.editions):
        return f"run: escalometer data fetch {plugin.name}"
    instructions = [edition.instructions for edition in plugin.editions if edition.instructions]
    return " ".join(instructions) or f"put them into data/raw/{plugin.name}/"


def fetched(domain: str, root: Path = Path()) -> dict[str, str]:
    """Return the releases that `escalometer data fetch` brought, by the content's sha256."""
    path = fetched_file(domain, root)
    return read_json(path) if path.exists() else {}


def describe(
    plugin: Domain, present_edition: Found, releases: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the content of provenance.json: edition, licence, and each file with its digest.

    Parameters
    ----------
    plugin : Domain
        The domain.
    present_edition : Found
        The edition that is there, with its files.
    releases : mapping of str to str, optional
        Releases by the content's sha256, beside those that the edition names; see `fetched`.

    Raises
    ------
    DataError
        If a file does not load.
    """
    edition = present_edition.edition
    files = []
    with warehouse.connect() as connection:
        for raw_table in edition.raw_tables:
            raw = present_edition.files[raw_table.name]
            n_rows = warehouse.load_raw(connection, raw_table, raw)
            connection.execute(f'drop table "{raw_table.name}"')
            with opened(raw) as path:
                sha256 = digest(path)
            files.append(
                {
                    "file": raw.path.name,
                    "table": raw_table.name,
                    "origin": {**(releases or {}), **edition.releases}.get(sha256, SUPPLIED),
                    "n_rows": n_rows,
                    "sha256": sha256,  # of the content, unpacked
                }
            )
    described = dict(edition.provenance)
    origins = {str(file["origin"]) for file in files}
    is_known = SUPPLIED not in origins or plugin.stage is not None
    if not is_known:
        # The edition's origin and licence do not apply to rows that a user supplies.
        described |= {
            "source": SUPPLIED,
            "edition": f"rows of the user's own, in the columns of: {described['edition']}",
            "licence": "unknown: ask who supplied the file",
        }
    return {
        "domain": plugin.name,
        "title": plugin.title,
        "edition_name": edition.name,
        "release": ", ".join(sorted(origins)),
        "is_derived": edition.is_derived,
        **described,
        "files": files,
    }
