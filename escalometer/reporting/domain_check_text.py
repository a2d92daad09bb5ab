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
    verdict = (
        f"Not usable yet: {n} thing{'s are' if n > 1 else ' is'} wrong."
        if n
        else "Usable: nothing is wrong."
    )
    parts: list[RenderableType] = [
        Text(visible(f"Domain {report['domain']} ({report['file']})"), style="bold"),
        Text(verdict, style="bold red" if n else "bold green"),
    ]
    if problems:
        parts += [Text(), heading("What is wrong")]
        parts += _listed([f"{p['says']} {p['remedy']}".strip() for p in problems])
    if report["notes"]:
        parts += [Text(), heading("What you should know")]
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
            f" As {count(report['n_scenarios'])} scenarios: {count(splits['signal'])} for signals, "
            f"{count(splits['train'])} to learn from, {count(splits['eval'])} to ask about."
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
    columns = plain_table([*_words("column", "holds"), "missing", *_words("where it goes")], gap=2)
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
        [*_words("where", "most often"), "signal", "95 %", "n signal", "n to ask"], gap=2
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
    parts: list[RenderableType] = [Text(), heading("Does the text's form give the label away?")]
    if not leak["is_tested"]:
        return [*parts, _paragraph(f"Not tested: {visible(leak['reason'])}.")]
    numbers = f"AUC {leak['auc']:.2f} [{leak['low']:.2f}, {leak['high']:.2f}], 0.50 is chance"
    if not leak["is_leak"]:
        return [*parts, _paragraph(f"No: a classifier that sees no content does not ({numbers}).")]
    telling = ", ".join(repr(visible(form)) for form in leak["telling"])
    return [
        *parts,
        _paragraph(
            f"Yes: a classifier that sees no content tells the outcomes apart ({numbers}). Telling "
            f"forms, with w for a word and # for a number: {telling}. Where that is how a column "
            "is written down for one outcome, bring it into one form (`values` of a feature), or "
            "leave the column out; where it is what the column says, it is evidence."
        ),
    ]


def _example(example: Mapping[str, Any]) -> list[RenderableType]:
    return [
        Text(),
        heading("An example, as a model sees it"),
        _paragraph("Turn 1"),
        _paragraph(visible(example["first_turn"]), 4),
        _paragraph("Turn 2, after the model's answer"),
        _paragraph(visible(example["second_turn"]), 4),
        _paragraph(f"(What was decided: {visible(example['means'])}. The model is not told.)"),
    ]


def _expectations(expectations: Mapping[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(), heading("What every later file is held against")]
    for table in expectations["tables"]:
        verdict = "passed" if table["passed"] else "broken"
        given = [r.removesuffix(_GIVEN) for r in table["rules"] if r.endswith(_GIVEN)]
        rules = [visible(rule) for rule in table["rules"] if not rule.endswith(_GIVEN)]
        rules += [f"these must be given: {visible(', '.join(given))}"] if given else []
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
            _paragraph("With --write-suite these rules go into expectations/, for later files.")
        )
    return parts
