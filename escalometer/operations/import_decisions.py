"""The import of decisions recorded by others: validated, completed, stored in data/recorded/."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from escalometer import layout, validation
from escalometer.config import NAME_PATTERN
from escalometer.documents.wording import share
from escalometer.errors import DataError, UsageError
from escalometer.layout import PIPELINE
from escalometer.recorded import completion, prompt_match, reading
from escalometer.recorded.reading import Given
from escalometer.runtime.files import digest, read_json, write_json
from escalometer.schema import RECORDED, write_table
from escalometer.validation import ROW

#: Fixes the chance pairs of the text check, so that a file is always judged alike.
SEED = 1

Say = Callable[[str], None]


def run(file: Path, name: str, root: Path, replace: bool, say: Say) -> dict[str, Any]:
    """Import a file of recorded decisions as the source `name`, whole or not at all.

    Parameters
    ----------
    file : Path
        A Parquet, CSV or JSONL file; README.md, "Decisions that others recorded", lists its
        columns.
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
        refusal = f"{PIPELINE!r} is our own decisions'" if name == PIPELINE else f"not {name!r}"
        raise UsageError(
            f"--as takes a name in small letters, digits, dots, dashes and underscores: {refusal}"
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
            f"the source {name!r} exists, from another file ({record['file']}, imported "
            f"{record['imported']}): choose another name, or add --replace"
        )
    say(f"reading {file}")
    given = reading.read(file)
    table, n_expectations, warnings = _validated(given, root, say)
    if table["prompt"].null_count < table.num_rows:
        say("checking whether answers belong to their prompts")
    checks = _text_checks(table)
    if given.unknown:
        warnings.insert(
            0, f"unknown columns are kept aside, in extra.parquet: {', '.join(given.unknown)}"
        )
    if given.has_unnamed:
        warnings.insert(0, "a column without a name is left out")
    by_model = _text_warnings(checks)
    record = {
        "source": name,
        "file": file.name,
        "sha256": file_digest,
        "imported": datetime.now(UTC).isoformat(timespec="seconds"),
        "n_rows": table.num_rows,
        "n_expectations": n_expectations,
        **{f"{key}s": _counts(table, key) for key in ("model", "domain", "intervention")},
        "statuses": _counts(table, "status"),
        "unknown_columns": given.unknown,
        "text_check": checks,
        "warnings": [
            *warnings,
            *(warning for model_warnings in by_model.values() for warning in model_warnings),
        ],
        "model_warnings": by_model,  # those of them that are about one model
    }
    _keep(given, table, record, folder)
    return {**record, "is_new": True}


def _counts(table: pa.Table, column: str) -> dict[str, int]:
    return dict(sorted(Counter(table.column(column).to_pylist()).items()))


def _validated(given: Given, root: Path, say: Say) -> tuple[pa.Table, int, list[str]]:
    """Return complete rows, the number of rules that they satisfy, and warnings.

    One error lists all problems: rows with an unreadable value are set aside, and the others are
    checked by the suite.
    """
    reading.refuse_missing(given)
    lacks_columns = bool(given.problems) and any(
        name not in given.texts.column_names for name in reading.REQUIRED
    )
    completion.refuse_pasted(given)
    table, is_bad = reading.convert(given)
    n_expectations = 0
    warnings: list[str] = []
    if not lacks_columns:
        table = completion.complete(table)
        completion.refuse_some_scenarios(given, table)
        if not given.problems:
            table, warnings = completion.name_scenarios(given, table)
        readable = table.filter(pc.invert(is_bad)).drop_columns(list(completion.TEXTS))
        if readable.num_rows:
            say("validating with the suite recorded.json")
            suites = root / layout.SUITES_FOLDER
            result = validation.check(readable, "recorded", given.path, folder=suites)
            given.problems += result.failures
            n_expectations = result.n_expectations
    if given.problems:
        counted = reading.FORMATS[given.path.suffix.lower()]
        messages = "\n".join(str(problem) for problem in given.problems)
        raise DataError(f"nothing was imported (rows: {counted}).\n{messages}")
    return table, n_expectations, warnings


def _text_checks(table: pa.Table) -> list[dict[str, Any]]:
    """Return the results of the text check, one for each model and domain with texts."""
    names = [ROW, "model", "domain", "condition", "has_signal", "prompt", "prediction_text"]
    has_both = pc.and_(pc.is_valid(table["prompt"]), pc.is_valid(table["prediction_text"]))
    pairs: dict[tuple[str, str], list[prompt_match.Pair]] = {}
    for row in table.select(names).filter(has_both).to_pylist():
        group = (row["condition"], row["has_signal"])
        pair = prompt_match.Pair(row[ROW], group, row["prompt"], row["prediction_text"])
        pairs.setdefault((row["model"], row["domain"]), []).append(pair)
    return [
        {"model": model, "domain": domain, **prompt_match.check(pairs[model, domain], SEED)}
        for model, domain in sorted(pairs)
    ]


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
                f"{model}: answers seem not to belong to their prompts. {' '.join(foreign)} Were "
                "prompts or answers put in another order?"
            )
        mute = [c["domain"] for c in model_checks if c["verdict"] in ("nothing_quoted", "too_few")]
        if mute:
            model_warnings.append(
                f"{model}: whether answers belong to their prompts cannot be checked in "
                f"{', '.join(mute)}: there is nothing to check, or too little, since answers quote "
                "no number, name or passage that would tell one prompt from another"
            )
        if model_warnings:
            by_model[model] = model_warnings
    return by_model


def _foreign_message(check: dict[str, Any]) -> str:
    rows = ", ".join(str(row) for row in check["rows_lacking"])
    if check["verdict"] == "as_chance":
        how = (
            f"{share(check['own_share'])} of what they quote stands in their own prompt, "
            f"{share(check['chance_share'])} in another one of the same condition"
        )
    else:
        how = f"about {share(check['foreign_share'], 0)} of them fit another prompt better"
    return (
        f"{check['domain']}: {how}; {check['n_lacking']:,} of {check['n_quoting']:,} answers with "
        f"quotes quote what their prompt lacks (such as rows {rows})."
    )


def _keep(given: Given, table: pa.Table, record: dict[str, Any], folder: Path) -> None:
    """Write a source's files aside, then put them in place at once."""
    partial = folder.with_name(f".{folder.name}.partial")
    before = folder.with_name(f".{folder.name}.before.partial")
    if partial.exists():
        shutil.rmtree(partial)
    if given.unknown:
        aside = given.texts.select([ROW, *given.unknown])
        schema = pa.schema([pa.field(ROW, pa.int64()), *list(aside.schema)[1:]])
        write_table(aside, schema, partial / "extra.parquet")
    write_table(table, RECORDED, partial / "decisions.parquet")
    write_json(record, partial / "about.json")
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
