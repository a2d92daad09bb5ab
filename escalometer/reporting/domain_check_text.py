"""The report of ``escalometer domains check`` as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from escalometer.documents.wording import count, share, visible
from escalometer.reporting.terminal import Column, heading, indented, plain_table, write

#: Rules of the tables that are listed; the rest are counted.
N_RULES = 40
_GIVEN = " must be given"


def print_check(report: Mapping[str, Any], stream: TextIO) -> None:
    """Write the report of a check to `stream`.

    Characters that the stream's encoding lacks are written as question marks.

    Parameters
    ----------
    report : mapping
        The document of ``escalometer domains check --json``.
    stream : text stream
        Where to; in colour where that is a terminal.
    """
    write(_parts(report), stream)


def _parts(report: Mapping[str, Any]) -> list[RenderableType]:
    problems = report["problems"]
    n = len(problems)
    leaks = report.get("target_leaks", [])
    columns = ", ".join(dict.fromkeys(repr(leak["column"]) for leak in leaks))
    verdict = "Usable: no problems found."
    if n:
        verdict = f"Not usable: {n} problem{'s' if n > 1 else ''}."
    elif leaks:
        verdict = f"Usable, but check these columns first (target leakage): {columns}."
    colour = "red" if n else "yellow" if leaks else "green"
    parts: list[RenderableType] = [
        Text(visible(f"Domain {report['domain']} ({report['file']})"), style="bold"),
        Text(visible(verdict), style=f"bold {colour}"),
    ]
    if problems:
        parts += [Text(), heading("Problems")]
        parts += _listed([f"{p['says']} {p['remedy']}".strip() for p in problems])
    if leaks:
        parts += [Text(), heading("Target leakage")]
        parts += _listed([f"{k['finding']} {k['effect']} {k['remedy']}" for k in leaks])
    if report["notes"]:
        parts += [Text(), heading("Notes")]
        parts += _listed(report["notes"], numbered=False)
    if "rows" in report:
        parts += _rows(report)
    if "conditions" in report:
        parts += _conditions(report)
    if "leak" in report:
        parts += _leak(report["leak"])
    if "example" in report:
        parts += _example(report["example"])
    if "expectations" in report:
        parts += _expectations(report["expectations"])
    if "next" in report:
        parts += [Text(), heading("Next"), _paragraph(visible(report["next"]))]
    return parts


def _paragraph(text: str, by: int = 2) -> Padding:
    return indented(Text(text), by)


def _words(*titles: str) -> list[Column]:
    """Return columns of words."""
    return [Column(title, "left") for title in titles]


def _listed(items: Sequence[str], numbered: bool = True) -> list[RenderableType]:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(justify="right", width=4)
    table.add_column(overflow="fold")
    for place, item in enumerate(items, start=1):
        table.add_row(f"{place}." if numbered else "!", Text(visible(item)))
    return [table]


def _rows(report: Mapping[str, Any]) -> list[RenderableType]:
    rows = report["rows"]
    counts = f"{count(rows['n_rows'])} rows, {count(rows['n_cases'])} of them decided cases."
    if report.get("splits"):
        splits = report["splits"]
        counts += (
            f" {count(report['n_scenarios'])} scenarios: {count(splits['signal'])} for signals, "
            f"{count(splits['train'])} for training, {count(splits['eval'])} for evaluation."
        )
    outcomes = plain_table([*_words("label", "in the file", "means"), "cases", "share"], gap=2)
    for row in report["outcomes"]:
        outcomes.add_row(
            str(row["label"]),
            visible(row["value"]),
            visible(row["means"]),
            count(row["n"]),
            share(row["share"]),
        )
    columns = plain_table([*_words("column", "holds"), "missing", *_words("split")], gap=2)
    for row in report["columns"]:
        goes = "scenario" if row["in_scenario"] else "table only"
        goes = "private" if row["is_private"] else goes
        columns.add_row(visible(row["column"]), row["kind"], count(row["n_missing"]), goes)
    return [
        Text(),
        heading(f"Rows of {visible(report['table'])}"),
        _paragraph(counts),
        Padding(outcomes, (0, 0, 0, 2)),
        Text(),
        Padding(columns, (0, 0, 0, 2)),
    ]


def _conditions(report: Mapping[str, Any]) -> list[RenderableType]:
    conditions = report["conditions"]
    origins = sorted({row["origin"] for row in conditions})
    table = plain_table(
        [*_words("where", "most often"), "signal", "95%", "n signal", "eval scenarios"], gap=2
    )
    for row in conditions:
        table.add_row(
            visible(row["phrase"]),
            visible(row["means"] or "as expected"),
            share(row["signal_accuracy"], 0),
            f"{100 * row['low']:.0f}–{100 * row['high']:.0f}",
            count(row["n_signal"]),
            count(row["n_eval"]),
        )
    return [
        Text(),
        heading(f"Conditions ({', '.join(origins)})"),
        Padding(table, (0, 0, 0, 2)),
        *(_paragraph(f"! {visible(note)}") for note in report["condition_notes"]),
    ]


def _leak(leak: Mapping[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text(),
        heading("Form leak: can the label be predicted from the text's form?"),
    ]
    if not leak["is_tested"]:
        return [*parts, _paragraph(f"Not tested: {visible(leak['reason'])}.")]
    numbers = f"AUC {leak['auc']:.2f} [{leak['low']:.2f}, {leak['high']:.2f}], 0.50 is chance"
    if not leak["is_leak"]:
        return [
            *parts,
            _paragraph(
                f"No: a classifier without access to the content performs at chance ({numbers})."
            ),
        ]
    telling = ", ".join(repr(visible(form)) for form in leak["telling"])
    return [
        *parts,
        _paragraph(
            "Yes: a classifier without access to the content separates the outcomes "
            f"({numbers}). Indicative forms, with w for a word and # for a number: {telling}. "
            "If a column is written differently for one outcome, unify it (`values` of a "
            "feature) or leave the column out; if the form is part of the content, it is "
            "evidence."
        ),
    ]


def _example(example: Mapping[str, Any]) -> list[RenderableType]:
    return [
        Text(),
        heading("Example prompts"),
        _paragraph("Turn 1"),
        _paragraph(visible(example["first_turn"]), 4),
        _paragraph("Turn 2, after the model's answer"),
        _paragraph(visible(example["second_turn"]), 4),
        _paragraph(f"(Label: {visible(example['means'])}. It is not shown to the model.)"),
    ]


def _expectations(expectations: Mapping[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(), heading("Rules for later files")]
    for table in expectations["tables"]:
        verdict = "passed" if table["passed"] else "broken"
        given = [r.removesuffix(_GIVEN) for r in table["rules"] if r.endswith(_GIVEN)]
        rules = [visible(rule) for rule in table["rules"] if not rule.endswith(_GIVEN)]
        rules += [f"required: {visible(', '.join(given))}"] if given else []
        more = f" … and {len(rules) - N_RULES} more" if len(rules) > N_RULES else ""
        parts.append(
            _paragraph(
                f"{table['table']} ({visible(table['suite'])}): {table['n_expectations']} "
                f"expectations, {verdict}. {'; '.join(rules[:N_RULES])}{more}."
            )
        )
    if expectations["written"]:
        written = ", ".join(visible(path) for path in expectations["written"])
        parts.append(_paragraph(f"Written: {written}"))
    else:
        parts.append(
            _paragraph("--write-suite writes these rules to expectations/, for later files.")
        )
    return parts
