"""The import of decisions recorded by others: validated, completed, stored in data/recorded/."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from escalometer import layout
from escalometer.config import NAME_PATTERN
from escalometer.errors import UsageError
from escalometer.layout import LEDGER, PIPELINE
from escalometer.operations.checked_decisions import Request, Say, check
from escalometer.recorded.given_file import given_file
from escalometer.runtime.files import digest, read_json, write_json
from escalometer.runtime.object_storage import Location


def run(
    file: Location,
    name: str,
    root: Path,
    replace: bool,
    say: Say,
    *,
    mapping: Mapping[str, str] | None = None,
    kind: str | None = None,
    standard_input: Callable[[], BinaryIO] | None = None,
) -> dict[str, Any]:
    """Import a file of recorded decisions as the source `name`, whole or not at all.

    Parameters
    ----------
    file : Path or S3Address
        A Parquet, CSV or JSONL file, plain or gzipped, a pipe, or what is on object storage;
        docs/how-to/recorded-decisions.md lists its columns.
    name : str
        The source's name.
    root : Path
        The project.
    replace : bool
        Whether a source of that name may be replaced.
    say : callable
        Takes each step as it begins, in words.
    mapping : mapping of str to str, optional
        Columns of the file by the names of ours that they get.
    kind : {"parquet", "csv", "jsonl"}, optional
        The file's format, where its ending does not tell it.
    standard_input : callable, optional
        Opens standard input, for the file ``-``.

    Returns
    -------
    dict
        The content of about.json, and ``is_new``: false where the same file is imported already.

    Raises
    ------
    UsageError
        If the name or the file cannot be, or the name is taken by another file.
    DataError
        If rows break a rule of recorded decisions; the message lists all failures.
    """
    if not re.fullmatch(NAME_PATTERN, name) or name in (LEDGER, PIPELINE):
        whose = {PIPELINE: "the pipeline's decisions", LEDGER: "decisions in service"}
        refusal = f"{name!r} is reserved for {whose[name]}" if name in whose else f"not {name!r}"
        raise UsageError(
            "--as takes a name of lower-case letters, digits, dots, dashes and underscores: "
            f"{refusal}"
        )
    folder = layout.source_folder(name, root)
    mapping = dict(mapping or {})
    if isinstance(file, Path) and file.is_file():
        known = _imported(name, root, replace, digest(file), mapping)
        if known is not None:
            return known
    with _aside(folder) as partial:
        given = given_file(file, partial.work, kind, standard_input)
        file_digest = digest(given.given)
        # A pipe and an object are read once: only their copy has a digest.
        known = _imported(name, root, replace, file_digest, mapping)
        if known is not None:
            return known
        request = Request(mapping, root / layout.SUITES_FOLDER)
        found = check(given, partial.source, partial.work, request, say)
        record = {
            "source": name,
            "file": Path(given.name).name,
            "sha256": file_digest,
            "imported": datetime.now(UTC).isoformat(timespec="seconds"),
            "mapping": mapping,
            **found,
        }
        write_json(record, partial.source / "about.json")
        _put_in_place(partial.source, folder)
    return {**record, "is_new": True}


def _imported(
    name: str, root: Path, replace: bool, file_digest: str, mapping: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return the record of a source, if it was imported from this file in this way.

    Raises
    ------
    UsageError
        If there is a source of that name from another file, and it may not be replaced.
    """
    record_file = layout.source_file(name, root)
    if replace or not record_file.exists():
        return None
    record = read_json(record_file)
    if record["sha256"] != file_digest:
        other = "another file"
    elif record.get("mapping", {}) != mapping:
        other = "the same file with another --map"
    else:
        return {**record, "is_new": False}
    raise UsageError(
        f"the source {name!r} exists already, imported from {other} ({record['file']}, "
        f"{record['imported']}): choose another name, or add --replace"
    )


class _Aside(NamedTuple):
    """The folders of an import until it is complete."""

    source: Path  # becomes the source
    work: Path  # what is needed on the way


@contextlib.contextmanager
def _aside(folder: Path) -> Iterator[_Aside]:
    """Yield empty folders beside `folder`; nothing of them is left when the block ends."""
    partial = folder.with_name(f".{folder.name}.partial")
    absent = [parent for parent in (folder.parent, folder.parent.parent) if not parent.exists()]
    if partial.exists():  # of an import that was killed
        shutil.rmtree(partial)
    aside = _Aside(partial / "source", partial / "work")
    aside.work.mkdir(parents=True)
    aside.source.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in absent:
            if not any(parent.iterdir()):
                parent.rmdir()


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename the files of a source to its folder; one that is there is replaced."""
    before = folder.with_name(f".{folder.name}.before.partial")
    if before.exists():
        shutil.rmtree(before)
    if folder.exists():
        folder.rename(before)
    partial.rename(folder)
    if before.exists():
        shutil.rmtree(before)


def restore(root: Path = Path()) -> None:
    """Put back sources whose replacement was stopped between the two renames."""
    for before in layout.sources_folder(root).glob(".*.before.partial"):
        folder = before.with_name(before.name.removeprefix(".").removesuffix(".before.partial"))
        if not folder.exists():
            before.rename(folder)
