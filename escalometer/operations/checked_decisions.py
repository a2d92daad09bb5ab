"""A table of decisions that others recorded: read, checked, completed and written as Parquet.

The common part of `escalometer import` and of the commands on a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer import layout, validation
from escalometer.documents.wording import share
from escalometer.errors import DataError, EscalometerError
from escalometer.recorded import completion, prompt_match, reading
from escalometer.recorded.column_map import asked_name
from escalometer.recorded.given_file import GivenFile
from escalometer.recorded.reading import RecordedFile
from escalometer.schema import RECORDED
from escalometer.validation import ROW
from escalometer.warehouse import RecordedRows

#: Seed of the random pairs of the text check, so that a file always gets the same verdict.
SEED = 1

#: Files that a check writes.
DECISIONS, EXTRA = "decisions.parquet", "extra.parquet"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """Settings for reading and checking a table.

    Attributes
    ----------
    mapping : mapping of str to str
        Columns of the table by the names of ours that they get.
    suites : Path
        The folder of suites.
    keeps_unknown : bool
        Whether columns that we do not know are written next to the decisions.
    refusal : str
        What an error says of the consequence.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    suites: Path = layout.SUITES_FOLDER
    keeps_unknown: bool = True
    refusal: str = "nothing was imported"


def check(file: GivenFile, folder: Path, work: Path, request: Request, say: Say) -> dict[str, Any]:
    """Write the decisions of a file to `folder`, if all of them are valid, and return their record.

    Parameters
    ----------
    file : GivenFile
    folder : Path
        Gets decisions.parquet, in the columns of `schema.RECORDED`.
    work : Path
        A folder for what is needed on the way; memory stays bounded.
    request : Request
    say : callable
        Takes each step as it begins, in words.

    Returns
    -------
    dict
        Rows, models, domains, interventions and statuses with their counts; warnings.

    Raises
    ------
    UsageError
        If the mapping does not fit the file, or there is no room.
    DataError
        If rows break a rule of recorded decisions; the message lists all failures.
    """
    try:
        with RecordedRows(work) as rows:
            say(f"reading {file.name}")
            recorded = reading.read(file.path, rows, request.mapping)
            return _checked(recorded, folder, request, say)
    except EscalometerError as error:
        raise type(error)(file.renamed(str(error))) from error


def _checked(recorded: RecordedFile, folder: Path, request: Request, say: Say) -> dict[str, Any]:
    rows = recorded.rows
    n_expectations, warnings = _validated(recorded, request, say)
    if {"prompt", "prediction_text"} <= set(rows.names):
        say("checking that answers match their prompts")
    checks = _text_checks(rows)
    if recorded.unknown:
        kept = "are stored in extra.parquet" if request.keeps_unknown else "are not read"
        warnings.insert(0, f"unknown columns {kept}: {', '.join(recorded.unknown)}")
    if recorded.has_unnamed:
        warnings.insert(0, "a column without a name is ignored")
    by_model = _text_warnings(checks)
    say("writing the decisions")
    _write(recorded, folder, request.keeps_unknown)
    return {
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


def _counts(rows: RecordedRows, column: str) -> dict[str, int]:
    return dict(sorted(rows.counts(column).items()))


def _validated(recorded: RecordedFile, request: Request, say: Say) -> tuple[int, list[str]]:
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
                request.suites,
            )
            recorded.problems += result.failures
            n_expectations = result.n_expectations
    if recorded.problems:
        counted = reading.FORMATS[recorded.path.suffix.lower()]
        messages = "\n".join(str(_by_file(problem, request)) for problem in recorded.problems)
        raise DataError(f"{request.refusal} (rows: {counted}).\n{messages}")
    return n_expectations, warnings


def _by_file(problem: validation.Failure, request: Request) -> validation.Failure:
    """Return a failure with the names that its columns have in the file."""
    names = [asked_name(name, request.mapping) for name in problem.column.split(", ")]
    return replace(problem, column=", ".join(names))


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


def _write(recorded: RecordedFile, folder: Path, keeps_unknown: bool) -> None:
    """Write the decisions, and the columns that we do not know."""
    rows = recorded.rows
    if recorded.unknown and keeps_unknown:
        columns = {ROW: "bigint", **dict.fromkeys(recorded.unknown, "varchar")}
        rows.write(columns, folder / EXTRA)
    path = folder / DECISIONS
    required = [field.name for field in RECORDED if not field.nullable]
    missing = [name for name, n in rows.n_missing(required).items() if n]
    if missing:  # where the project's suite does not say so
        raise DataError(f"{path}: column {missing[0]!r} has nulls, which are not allowed")
    types = {
        field.name: "tinyint" if field.type == pa.int8() else completion.sql_type(field.type)
        for field in RECORDED
    }
    rows.write(types, path)
