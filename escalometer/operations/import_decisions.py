"""The import of decisions recorded by others: validated, completed, stored in data/recorded/."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from escalometer import layout, validation
from escalometer.config import NAME_PATTERN
from escalometer.documents.wording import share
from escalometer.errors import DataError, UsageError
from escalometer.layout import PIPELINE
from escalometer.recorded import completion, prompt_match, reading
from escalometer.recorded.reading import RecordedFile
from escalometer.runtime.files import digest, read_json, write_json
from escalometer.schema import RECORDED
from escalometer.validation import ROW
from escalometer.warehouse import RecordedRows

#: Seed of the random pairs of the text check, so that a file always gets the same verdict.
SEED = 1

Say = Callable[[str], None]


def run(file: Path, name: str, root: Path, replace: bool, say: Say) -> dict[str, Any]:
    """Import a file of recorded decisions as the source `name`, whole or not at all.

    Parameters
    ----------
    file : Path
        A Parquet, CSV or JSONL file; docs/how-to/recorded-decisions.md lists its columns.
    name : str
        The source's name.
    root : Path
        The project.
    replace : bool
        Whether a source of that name may be replaced.
    say : callable
        Takes each step as it begins, in words.

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
    if not re.fullmatch(NAME_PATTERN, name) or name == PIPELINE:
        refusal = (
            f"{PIPELINE!r} is reserved for the pipeline's decisions"
            if name == PIPELINE
            else f"not {name!r}"
        )
        raise UsageError(
            "--as takes a name of lower-case letters, digits, dots, dashes and underscores: "
            f"{refusal}"
        )
    folder = layout.source_folder(name, root)
    record_file = layout.source_file(name, root)
    if file.is_dir() or not file.exists():
        raise UsageError(f"{file} is a folder" if file.is_dir() else f"{file} does not exist")
    file_digest = digest(file)
    if record_file.exists() and not replace:
        record = read_json(record_file)
        if record["sha256"] == file_digest:
            return {**record, "is_new": False}
        raise UsageError(
            f"the source {name!r} exists already, imported from another file ({record['file']}, "
            f"{record['imported']}): choose another name, or add --replace"
        )
    with _aside(folder) as partial:
        with RecordedRows(partial.work) as rows:
            say(f"reading {file}")
            recorded = reading.read(file, rows)
            n_expectations, warnings = _validated(recorded, root, say)
            if {"prompt", "prediction_text"} <= set(rows.names):
                say("checking that answers match their prompts")
            checks = _text_checks(rows)
            if recorded.unknown:
                warnings.insert(
                    0, f"unknown columns are stored in extra.parquet: {', '.join(recorded.unknown)}"
                )
            if recorded.has_unnamed:
                warnings.insert(0, "a column without a name is ignored")
            by_model = _text_warnings(checks)
            record = {
                "source": name,
                "file": file.name,
                "sha256": file_digest,
                "imported": datetime.now(UTC).isoformat(timespec="seconds"),
                "n_rows": rows.n_rows,
                "n_expectations": n_expectations,
                **{f"{key}s": _counts(rows, key) for key in ("model", "domain", "intervention")},
                "statuses": _counts(rows, "status"),
                "unknown_columns": recorded.unknown,
                "text_check": checks,
                "warnings": [
                    *warnings,
                    *(warning for of_model in by_model.values() for warning in of_model),
                ],
                "model_warnings": by_model,  # those of them that are about one model
            }
            say("writing the decisions")
            _write(recorded, record, partial.source)
        shutil.rmtree(partial.work)
        _put_in_place(partial.source, folder)
    return {**record, "is_new": True}


class _Aside(NamedTuple):
    """The folders of an import until it is complete."""

    source: Path  # becomes the source
    work: Path  # what is needed on the way


@contextlib.contextmanager
def _aside(folder: Path) -> Iterator[_Aside]:
    """Yield empty folders beside `folder`; if the block raises, nothing of them is left."""
    partial = folder.with_name(f".{folder.name}.partial")
    absent = [parent for parent in (folder.parent, folder.parent.parent) if not parent.exists()]
    if partial.exists():  # of an import that was killed
        shutil.rmtree(partial)
    aside = _Aside(partial / "source", partial / "work")
    aside.work.mkdir(parents=True)
    aside.source.mkdir()
    try:
        yield aside
        partial.rmdir()
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in absent:
            if not any(parent.iterdir()):
                parent.rmdir()
        raise


def _counts(rows: RecordedRows, column: str) -> dict[str, int]:
    return dict(sorted(rows.counts(column).items()))


def _validated(recorded: RecordedFile, root: Path, say: Say) -> tuple[int, list[str]]:
    """Complete the rows; return the number of rules that they satisfy, and warnings.

    One error lists all problems: rows with an unreadable value are set aside, and the others are
    checked by the suite.
    """
    reading.refuse_missing(recorded)
    lacks_columns = bool(recorded.problems) and any(
        name not in recorded.rows.names for name in reading.REQUIRED
    )
    completion.refuse_pasted(recorded)
    reading.refuse_unfit(recorded)
    n_expectations = 0
    warnings: list[str] = []
    if not lacks_columns:
        completion.complete(recorded)
        completion.refuse_some_scenarios(recorded)
        if not recorded.problems:
            warnings = completion.name_scenarios(recorded)
        if recorded.rows.n_readable():
            say("validating with the suite recorded.json")
            result = validation.check_rows(
                recorded.rows.connection,
                "readable",
                completion.checked_schema(),
                "recorded",
                recorded.path,
                root / layout.SUITES_FOLDER,
            )
            recorded.problems += result.failures
            n_expectations = result.n_expectations
    if recorded.problems:
        counted = reading.FORMATS[recorded.path.suffix.lower()]
        messages = "\n".join(str(problem) for problem in recorded.problems)
        raise DataError(f"nothing was imported (rows: {counted}).\n{messages}")
    return n_expectations, warnings


def _text_checks(rows: RecordedRows) -> list[dict[str, Any]]:
    """Return the results of the text check, one for each model and domain with texts."""
    checks = []
    for model, domain, n_answers, sample in rows.pairs(prompt_match.MOST):
        pairs = [
            prompt_match.Pair(row, (condition, has_signal), prompt, answer)
            for row, condition, has_signal, prompt, answer in sample
        ]
        found = prompt_match.check(pairs, SEED, n_answers)
        checks.append({"model": model, "domain": domain, **found})
    return checks


def _text_warnings(checks: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return warnings by model: answers that do not match their prompts, or are unchecked."""
    by_model = {}
    for model in dict.fromkeys(check["model"] for check in checks):
        model_warnings = []
        model_checks = [check for check in checks if check["model"] == model]
        foreign = [
            _foreign_message(c)
            for c in model_checks
            if c["verdict"] in ("as_chance", "some_foreign")
        ]
        if foreign:
            model_warnings.append(
                f"{model}: answers do not seem to match their prompts. {' '.join(foreign)} "
                "Check whether prompts or answers were reordered."
            )
        mute = [c["domain"] for c in model_checks if c["verdict"] in ("nothing_quoted", "too_few")]
        if mute:
            model_warnings.append(
                f"{model}: the match of answers and prompts cannot be checked in "
                f"{', '.join(mute)}: answers quote too few numbers, names or passages that "
                "distinguish one prompt from another"
            )
        if model_warnings:
            by_model[model] = model_warnings
    return by_model


def _foreign_message(check: dict[str, Any]) -> str:
    rows = ", ".join(str(row) for row in check["rows_lacking"])
    if check["verdict"] == "as_chance":
        how = (
            f"{share(check['own_share'])} of their quotations are in their own prompt, "
            f"{share(check['chance_share'])} in another one of the same condition"
        )
    else:
        how = f"about {share(check['foreign_share'], 0)} of them match another prompt better"
    return (
        f"{check['domain']}: {how}; {check['n_lacking']:,} of {check['n_quoting']:,} answers with "
        f"quotations quote something that their prompt does not contain (e.g. rows {rows})."
    )


def _write(recorded: RecordedFile, record: dict[str, Any], folder: Path) -> None:
    """Write a source's files."""
    rows = recorded.rows
    if recorded.unknown:
        columns = {ROW: "bigint", **dict.fromkeys(recorded.unknown, "varchar")}
        rows.write(columns, folder / "extra.parquet")
    path = folder / "decisions.parquet"
    required = [field.name for field in RECORDED if not field.nullable]
    missing = [name for name, n in rows.n_missing(required).items() if n]
    if missing:  # where the project's suite does not say so
        raise DataError(f"{path}: column {missing[0]!r} has nulls, which are not allowed")
    types = {
        field.name: "tinyint" if field.type == pa.int8() else completion.sql_type(field.type)
        for field in RECORDED
    }
    rows.write(types, path)
    write_json(record, folder / "about.json")


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
