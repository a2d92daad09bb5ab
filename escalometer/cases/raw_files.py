"""Raw files in a folder: their edition and tables, in any of the supported packings.

A table's file is found by its name without endings; the endings say what it is: `.csv`, `.tsv` or
`.parquet`, plain or inside `.gz`, `.zip` or `.tar.gz`.
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from escalometer.cases.domains import Domain, Edition
from escalometer.errors import DataError
from escalometer.warehouse import RawFile, RawTable
from escalometer.warehouse.table_files import ARCHIVES, KINDS, archive_members, name_parts


class PresentEdition(NamedTuple):
    """An edition that is there, with the file of each of its tables."""

    edition: Edition
    files: dict[str, RawFile]


def _matches(stem: str, raw_table: RawTable) -> bool:
    patterns = (raw_table.name, *raw_table.stems)
    return any(fnmatch(stem.lower(), pattern.lower()) for pattern in patterns)


def data_files(folder: Path) -> list[Path]:
    """Return the files in `folder` that can hold a table, in alphabetical order."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and (name_parts(path.name)[1] or path.name.lower().endswith(ARCHIVES))
    )


def candidates(raw_table: RawTable, folder: Path) -> list[RawFile]:
    """Return the files in `folder` that are called like the table."""
    found = []
    for path in data_files(folder):
        stem, kind = name_parts(path.name)
        if not path.name.lower().endswith(ARCHIVES):
            if kind and _matches(stem, raw_table):
                found.append(RawFile(path))
            continue
        members = archive_members(path)
        named = [n for n in members if _matches(name_parts(PurePosixPath(n).name)[0], raw_table)]
        bare = path.name.lower()
        for ending in (*ARCHIVES, *KINDS):
            bare = bare.removesuffix(ending)
        if not named and len(members) == 1 and _matches(bare, raw_table):
            named = members
        found += [RawFile(path, name) for name in named]
    return found


def expected_names(raw_table: RawTable) -> str:
    """Return how the table's file may be called, for messages."""
    stems = " or ".join(f"{stem}.csv" for stem in (raw_table.stems or (raw_table.name,)))
    return f"{stems} (or .tsv, .parquet; plain, .gz or .zip)"


def table_file(raw_table: RawTable, folder: Path) -> RawFile | None:
    """Return the file of `raw_table` in `folder`, None where there is none.

    Raises
    ------
    DataError
        If several files could be it, or an archive is damaged.
    """
    found = candidates(raw_table, folder)
    if len(found) > 1:
        listed = " and ".join(str(raw) for raw in found)
        raise DataError(
            f"{listed} could each be the table {raw_table.name}; remove those that are not used"
        )
    return found[0] if found else None


def present(domain: Domain, folder: Path) -> PresentEdition | None:
    """Return the edition of `domain` whose files `folder` holds, None where it holds no files.

    Where the published rows are there, a derived edition beside them does not count.

    Raises
    ------
    DataError
        If files of two editions are there, if an edition is there in part, or if the files that
        are there are called like no table of the domain.
    """
    whole: list[PresentEdition] = []
    parts: list[tuple[Edition, dict[str, RawFile | None]]] = []
    for edition in domain.editions:
        files = {table.name: table_file(table, folder) for table in edition.raw_tables}
        complete = {name: raw for name, raw in files.items() if raw is not None}
        if len(complete) == len(files):
            whole.append(PresentEdition(edition, complete))
        elif complete:
            parts.append((edition, files))
    published = [found for found in whole if not found.edition.is_derived]
    whole = published or whole  # columns derived from rows add no information
    if len(whole) > 1:
        listed = "; ".join(
            f"{found.edition.name}: {', '.join(raw.path.name for raw in found.files.values())}"
            for found in whole
        )
        raise DataError(
            f"{folder} contains files of {len(whole)} editions ({listed}); remove those that "
            "are not used"
        )
    if whole:
        return whole[0]
    if parts:
        edition, files = parts[0]
        tables = {table.name: table for table in edition.raw_tables}
        lacking = [expected_names(tables[name]) for name, raw in files.items() if raw is None]
        there = [raw.path.name for raw in files.values() if raw is not None]
        raise DataError(f"{folder}: next to {', '.join(there)}, {' and '.join(lacking)} is missing")
    strangers = [path.name for path in data_files(folder)]
    if strangers:
        wanted = "; or ".join(
            " and ".join(expected_names(table) for table in edition.raw_tables)
            for edition in domain.editions
        )
        raise DataError(
            f"{folder} contains {', '.join(strangers)}, which is not a table of {domain.name}: "
            f"rename it to {wanted}"
        )
    return None
