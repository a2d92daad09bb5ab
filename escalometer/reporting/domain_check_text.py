"""What `escalometer domains check` found, as text for a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from escalometer.documents.wording import count, share, visible

WIDTH = 100
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
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=min(max(Console(file=stream).width, 80), WIDTH) if stream.isatty() else WIDTH,
        force_terminal=stream.isatty(),
        color_system="auto" if stream.isatty() else None,
        highlight=False,
        markup=False,  # names come from users' files; a bracket in one is no style
        emoji=False,
        legacy_windows=False,
    )
    for part in _parts(report):
        console.print(part)
    text = "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


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
        parts += [Text(), _heading("What is wrong")]
        parts += _listed([f"{p['says']} {p['remedy']}".strip() for p in problems])
    if report["notes"]:
        parts += [Text(), _heading("What you should know")]
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
        parts += [Text(), _heading("Next"), _indented(visible(report["next"]))]
    return parts


def _heading(text: str) -> Text:
    return Text(text, style="bold underline")


def _indented(text: str, by: int = 2) -> Padding:
    return Padding(Text(text), (0, 0, 0, by))


def _listed(items: Sequence[str], numbered: bool = True) -> list[RenderableType]:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(justify="right", width=4)
    table.add_column(overflow="fold")
    for place, item in enumerate(items, start=1):
        table.add_row(f"{place}." if numbered else "!", Text(visible(item)))
    return [table]


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in titles:
        is_number = title.startswith("#")
        table.add_column(
            title.removeprefix("#"),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number,
        )
    return table


def _rows(report: Mapping[str, Any]) -> list[RenderableType]:
    rows = report["rows"]
    said = f"{count(rows['n_rows'])} rows, {count(rows['n_cases'])} of them decided cases."
    if report.get("splits"):
        splits = report["splits"]
        said += (
            f" As {count(report['n_scenarios'])} scenarios: {count(splits['signal'])} for signals, "
            f"{count(splits['train'])} to learn from, {count(splits['eval'])} to ask about."
        )
    outcomes = _table("label", "in the file", "means", "#cases", "#share")
    for row in report["outcomes"]:
        outcomes.add_row(
            str(row["label"]),
            visible(row["value"]),
            visible(row["means"]),
            count(row["n"]),
            share(row["share"]),
        )
    columns = _table("column", "holds", "#missing", "where it goes")
    for row in report["columns"]:
        goes = "scenario" if row["in_scenario"] else "table only"
        goes = "private" if row["is_private"] else goes
        columns.add_row(visible(row["column"]), row["kind"], count(row["n_missing"]), goes)
    return [
        Text(),
        _heading(f"Rows of {visible(report['table'])}"),
        _indented(said),
        Padding(outcomes, (0, 0, 0, 2)),
        Text(),
        Padding(columns, (0, 0, 0, 2)),
    ]


def _conditions(report: Mapping[str, Any]) -> list[RenderableType]:
    conditions = report["conditions"]
    origins = sorted({row["origin"] for row in conditions})
    table = _table("where", "most often", "#signal", "#95 %", "#n signal", "#n to ask")
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
        _heading(f"Conditions ({', '.join(origins)})"),
        Padding(table, (0, 0, 0, 2)),
        *(_indented(f"! {visible(note)}") for note in report["condition_notes"]),
    ]


def _leak(leak: Mapping[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(), _heading("Does the text's form give the label away?")]
    if not leak["is_tested"]:
        return [*parts, _indented(f"Not tested: {visible(leak['reason'])}.")]
    numbers = f"AUC {leak['auc']:.2f} [{leak['low']:.2f}, {leak['high']:.2f}], 0.50 is chance"
    if not leak["is_leak"]:
        return [*parts, _indented(f"No: a classifier that sees no content does not ({numbers}).")]
    telling = ", ".join(repr(visible(form)) for form in leak["telling"])
    return [
        *parts,
        _indented(
            f"Yes: a classifier that sees no content tells the outcomes apart ({numbers}). Telling "
            f"forms, with w for a word and # for a number: {telling}. Where that is how a column "
            "is written down for one outcome, bring it into one form (`values` of a feature), or "
            "leave the column out; where it is what the column says, it is evidence."
        ),
    ]


def _example(example: Mapping[str, Any]) -> list[RenderableType]:
    return [
        Text(),
        _heading("An example, as a model sees it"),
        _indented("Turn 1"),
        _indented(visible(example["first_turn"]), 4),
        _indented("Turn 2, after the model's answer"),
        _indented(visible(example["second_turn"]), 4),
        _indented(f"(What was decided: {visible(example['means'])}. The model is not told.)"),
    ]


def _expectations(said: Mapping[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(), _heading("What every later file is held against")]
    for table in said["tables"]:
        verdict = "passed" if table["passed"] else "broken"
        given = [r.removesuffix(_GIVEN) for r in table["rules"] if r.endswith(_GIVEN)]
        rules = [visible(rule) for rule in table["rules"] if not rule.endswith(_GIVEN)]
        rules += [f"these must be given: {visible(', '.join(given))}"] if given else []
        more = f" … and {len(rules) - N_RULES} more" if len(rules) > N_RULES else ""
        parts.append(
            _indented(
                f"{table['table']} ({visible(table['suite'])}): {table['n_expectations']} "
                f"expectations, {verdict}. {'; '.join(rules[:N_RULES])}{more}."
            )
        )
    if said["written"]:
        parts.append(_indented(f"Written: {', '.join(visible(path) for path in said['written'])}"))
    else:
        parts.append(
            _indented("With --write-suite these rules go into expectations/, for later files.")
        )
    return parts
