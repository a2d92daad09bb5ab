"""The check of a user's domain: its YAML file, its rows, and the scenarios made of them.

No stage of the pipeline: it writes nothing into data/, and the file can be in any folder.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from escalometer import layout, validation, warehouse
from escalometer.cases import raw_files
from escalometer.cases.domains import Domain
from escalometer.cases.form_leaks import estimate_leak
from escalometer.cases.own_domain import build
from escalometer.cases.own_domain.columns import Problem
from escalometer.cases.own_domain.inspection import Inspection
from escalometer.cases.own_domain.suites import inferred_raw, inferred_staged
from escalometer.cases.own_domain.table_check import inspect
from escalometer.cases.own_domain.target_leaks import leak_of
from escalometer.cases.scenarios import MIN_LEAF, Sampled, sample_scenarios
from escalometer.cases.staging import stage_table, visible
from escalometer.config import Params
from escalometer.dialogue.protocol import Protocol, first_turn, second_turn
from escalometer.errors import DataError, EscalometerError, Outage, UsageError
from escalometer.runtime.files import write_json
from escalometer.stats.shares import wilson

#: Conditions over a smaller range of accuracies do not determine an escalation curve.
NARROW = 0.15

#: A nearly certain outcome may have been known before the decision.
CERTAIN, CERTAIN_ROWS = 0.99, 30


def run(
    file: Path, params: Params, root: Path = Path(), write_suite: bool = False
) -> dict[str, Any]:
    """Return the report on the domain that the YAML file describes.

    Parameters
    ----------
    file : Path
        A `<name>.yaml`, in the project's folder `domains` or elsewhere.
    params : Params
        Uses `seed` and `sample`, as a run does.
    root : Path, default the working folder
        The project.
    write_suite : bool, default False
        Whether to write the suites inferred from the rows to `expectations`, so that later files
        are checked against them.

    Returns
    -------
    dict
        `exit_code` 0 (usable), 3 (the YAML file is wrong) or 4 (the rows are), `problems`, and as
        far as it came: `target_leaks`, `rows`, `columns`, `outcomes`, `splits`, `conditions`,
        `leak`, `example`, `expectations`, `notes`, `next`.
    """
    report: dict[str, Any] = {"domain": file.stem, "file": str(file), "exit_code": 0, "notes": []}
    try:
        inspection = inspect(file)
    except Outage:
        raise
    except EscalometerError as error:
        lines = str(error).removeprefix(f"{file}: ").splitlines()
        messages = [line.removeprefix(f"{file}: ") for line in lines]
        problems = [Problem(line, "", isinstance(error, DataError)) for line in messages]
        return _refused(report, problems)
    report |= _table_summary(inspection)
    report["notes"] += inspection.notes
    if inspection.problems:
        return _refused(report, inspection.problems)
    report["target_leaks"] = [asdict(leak) for leak in inspection.target_leaks]
    domain = build.build(inspection)
    with tempfile.TemporaryDirectory(prefix="escalometer-") as name:
        folder = Path(name) / domain.name
        folder.mkdir()
        try:
            problems = _check_scenarios(
                inspection, domain, params, root, folder, report, write_suite
            )
        except EscalometerError as error:
            message = str(error).replace(
                str(folder / inspection.raw_name), str(inspection.texts.file.stem)
            )
            problems = [Problem(message, "", isinstance(error, DataError))]
    if problems:
        return _refused(report, problems)
    home = (root / layout.DOMAINS_FOLDER).resolve()
    is_home = file.resolve().parent == home
    if is_home and not inspection.texts.file.resolve().is_relative_to(home):
        report["notes"].append(
            f"{inspection.texts.file} is not in {layout.DOMAINS_FOLDER}/, so `dvc repro` does "
            "not notice changes. Move it next to the YAML file."
        )
    move = (
        ""
        if is_home
        else (f"Copy {file.name} and its table to {layout.DOMAINS_FOLDER}/, then run: ")
    )
    report["next"] = f"{move}escalometer evaluate MODEL --domains {domain.name}"
    return {**report, "problems": []}


def _refused(report: dict[str, Any], problems: Sequence[Problem]) -> dict[str, Any]:
    is_data = all(problem.is_data for problem in problems)
    code = DataError.exit_code if is_data else UsageError.exit_code
    listed = [
        {"says": problem.message, "remedy": problem.remedy, "is_data": problem.is_data}
        for problem in problems
    ]
    return {**report, "exit_code": code, "problems": listed}


def _table_summary(inspection: Inspection) -> dict[str, Any]:
    """Return the table's counts, columns and outcomes."""
    decided = (
        [label for label in inspection.labels if label is not None] if inspection.outcome_of else []
    )
    counts = Counter(decided)
    return {
        "table": str(inspection.texts.file),
        "rows": {
            "n_rows": inspection.texts.table.num_rows,
            "n_cases": len(decided),
            "n_empty": sum(inspection.is_empty),
        },
        "columns": [
            {
                "column": name,
                "kind": column.kind,
                "n_missing": column.n_missing,
                "in_scenario": name in inspection.stated,
                "is_private": name in inspection.spec.private,
            }
            for name, column in inspection.columns.items()
        ],
        "outcomes": [
            {
                "label": place,
                "value": _written(inspection, place, value),
                "means": outcome.means,
                "n": counts[place],
                "share": counts[place] / len(decided) if decided else 0.0,
            }
            for place, (value, outcome) in enumerate(inspection.outcomes)
        ],
    }


def _written(inspection: Inspection, place: int, value: str) -> str:
    """Return an outcome's value in the file: {0: …, 1: …} may stand for no and yes."""
    if not inspection.outcome_of:  # no such column, or one with ambiguous values
        return value
    texts = zip(inspection.values[inspection.spec.label.column], inspection.labels, strict=True)
    counts = Counter(text.strip() for text, label in texts if label == place)
    return counts.most_common(1)[0][0] if counts else value


def _check_scenarios(
    inspection: Inspection,
    domain: Domain,
    params: Params,
    root: Path,
    folder: Path,
    report: dict[str, Any],
    write_suite: bool,
) -> list[Problem]:
    """Add the conditions, the leak check and an example to the report; return problems."""
    edition = domain.editions[0]
    if edition.bring is not None:
        edition.bring(folder)
    cases = stage_table(domain, params, folder)
    problems = _predicates(inspection, domain, cases)
    if problems:
        return problems
    try:
        sampled = sample_scenarios(domain, cases, params)
    except DataError as error:
        return [_no_conditions(inspection, params, error)]
    report["notes"] += [
        f"{note[:1].upper()}{note[1:]}."
        for note in sampled.notes
        if "so all are used" not in note  # stated below the conditions
    ]
    report |= _conditions(domain, sampled, params)
    report["target_leaks"] += _certain(inspection, report["conditions"], report["target_leaks"])
    report["leak"] = _leak(inspection, domain, sampled)
    report["example"] = _example(domain, sampled)
    return _expectations(inspection, domain, sampled, root, folder, report, write_suite)


def _predicates(inspection: Inspection, domain: Domain, cases: pa.Table) -> list[Problem]:
    problems = []
    shown = visible(domain, cases)
    for condition, stated in zip(domain.conditions, inspection.spec.conditions, strict=True):
        try:
            holds = warehouse.members(shown, {condition.name: condition.predicate})[condition.name]
        except DataError as error:
            text = str(error).replace(repr(condition.predicate), repr(stated.where), 1)
            reason = text.partition(". Columns: ")[0].replace("condition ", "Condition ", 1)
            columns = ", ".join(inspection.stated)
            remedy = (
                f"`where` is an SQL expression over the scenario's columns: {columns}. Texts stand "
                "in single quotes, names with spaces in double quotes."
            )
            problems.append(Problem(f"{reason}.", remedy))
            continue
        if not holds.any():
            message = f"Condition {condition.name!r} ({stated.where}) matches no case."
            remedy = "Write values as the scenario shows them; upper and lower case differ."
            problems.append(Problem(message, remedy))
    return problems


def _no_conditions(inspection: Inspection, params: Params, error: DataError) -> Problem:
    size = params.sample
    n_cases = sum(label is not None for label in inspection.labels)
    if "no condition has" not in str(error):
        return Problem(str(error), "", is_data=True)
    is_learned = not inspection.spec.conditions
    learned = (
        f" They are learned on {size.train_share:.0%} of the cases, at least {MIN_LEAF} for "
        "each condition, from columns that tell something of the outcome."
    )
    return Problem(
        f"No condition has {size.min_signal_cases} cases for its signal: of the {n_cases} "
        f"decided cases, {size.signal_share:.0%} are used for "
        f"signals.{learned if is_learned else ''}",
        f"Add rows{', or `conditions`' if is_learned else ''}, or lower sample.min_signal_cases "
        "in params.yaml (the percentages become less precise).",
        is_data=True,
    )


def _conditions(domain: Domain, sampled: Sampled, params: Params) -> dict[str, Any]:
    """Return the splits and the conditions, from the least accurate to the most."""
    rows = sorted(sampled.conditions, key=lambda row: (row["signal_accuracy"], row["condition"]))
    described: list[dict[str, Any]] = []
    for row in rows:
        low, high = wilson(row["n_agreeing"], row["n_signal"])
        label = row["signal_label"]
        described.append(
            {
                **{key: row[key] for key in _CONDITION_KEYS},
                "low": low,
                "high": high,
                "means": None if label is None else domain.task.meanings[label],
            }
        )
    notes = []
    if len(rows) == 1:
        notes.append(
            "There is only one condition, so no escalation curve can be fitted. More rows, "
            "other features or a lower sample.min_signal_cases give more conditions."
        )
    elif rows[-1]["signal_accuracy"] - rows[0]["signal_accuracy"] < NARROW:
        notes.append(
            "The conditions' percentages are close together, so the escalation curve is hard to "
            "estimate. Features that predict the outcome better spread them."
        )
    few = [row["condition"] for row in rows if row["n_eval"] < params.sample.n_per_condition]
    if few:
        notes.append(
            f"Fewer than {params.sample.n_per_condition} scenarios (all are used): "
            f"{', '.join(few)}."
        )
    splits = Counter(row["split"] for row in sampled.scenarios)
    return {
        "splits": {split: splits[split] for split in ("signal", "train", "eval")},
        "n_scenarios": len(sampled.scenarios),
        "conditions": described,
        "condition_notes": notes,
    }


def _certain(
    inspection: Inspection,
    conditions: Sequence[dict[str, Any]],
    known: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return findings on conditions with one outcome, whose columns have no finding yet."""
    seen = {leak["column"] for leak in known}
    found = []
    for row in conditions:
        if row["signal_accuracy"] < CERTAIN or row["n_signal"] < CERTAIN_ROWS:
            continue
        words = re.findall(r"\w+", row["predicate"])
        named = [
            name
            for name in inspection.stated
            if inspection.columns[name].staged in words and name not in seen
        ]
        if not named:
            continue
        seen |= set(named)
        n_same = round(row["signal_accuracy"] * row["n_signal"])
        finding = (
            f"Where {row['phrase']}, {n_same} of {row['n_signal']} cases have the same outcome. "
            f"Was {' and '.join(map(repr, named))} known before the decision?"
        )
        found.append(asdict(leak_of(named[0], finding, inspection.path)))
    return found


_CONDITION_KEYS = (
    "condition",
    "origin",
    "phrase",
    "predicate",
    "signal",
    "signal_label",
    "signal_accuracy",
    "n_signal",
    "n_eval",
    "n_all",
)


def _leak(inspection: Inspection, domain: Domain, sampled: Sampled) -> dict[str, Any]:
    """Return the check whether the form of the texts predicts the label.

    Free text is left out: a person's style is evidence, the scenario's wording is none.
    """
    free = {c.staged for c in inspection.columns.values() if c.kind == "text"}
    shown = visible(domain, sampled.cases)
    texts = []
    for row in shown.to_pylist():
        ours = {name: "text" if name in free and v is not None else v for name, v in row.items()}
        texts.append(domain.render(ours))
    groups = None
    if "split_key" in sampled.cases.column_names:
        groups = sampled.cases.column("split_key").to_pylist()
    labels = sampled.cases.column("label").to_pylist()
    try:
        result = estimate_leak(texts, labels, groups=groups)
    except ValueError as error:
        return {"is_tested": False, "reason": str(error)}
    return {
        "is_tested": True,
        "is_leak": result.is_leak,
        "auc": result.auc,
        "low": result.low,
        "high": result.high,
        "n": result.n,
        "telling": list(result.telling),
    }


def _example(domain: Domain, sampled: Sampled) -> dict[str, Any]:
    """Return both turns about one scenario of a run, under a middling condition."""
    ranked = sorted(sampled.conditions, key=lambda r: (r["signal_accuracy"], r["condition"]))
    condition = ranked[len(ranked) // 2]
    drawn = [row for row in sampled.scenarios if condition["condition"] in row["drawn_for"]]
    protocol = Protocol()
    scenario = drawn[0]["text"]
    return {
        "condition": condition["condition"],
        "label": drawn[0]["label"],
        "means": domain.task.meanings[drawn[0]["label"]],
        "first_turn": first_turn(protocol, domain.task, scenario, condition["signal"]),
        "second_turn": second_turn(protocol, domain.task),
    }


def _expectations(
    inspection: Inspection,
    domain: Domain,
    sampled: Sampled,
    root: Path,
    folder: Path,
    report: dict[str, Any],
    write_suite: bool,
) -> list[Problem]:
    """Check both tables against their suites; return the rules that they break."""
    raw_table = domain.editions[0].raw_tables[0]
    present = raw_files.present(domain, folder)
    if present is None:
        raise DataError(f"{inspection.texts.file} could not be copied")
    with warehouse.connect() as connection:
        warehouse.load_raw(connection, raw_table, present.files[raw_table.name])
        raw = connection.table(raw_table.name).to_arrow_table()
    raw_names = inspection.texts.raw_names
    columns = {raw_names[name]: column for name, column in inspection.columns.items()}
    values = {name: raw.column(name).to_pylist() for name in columns}
    shares = [outcome["share"] for outcome in report["outcomes"]]
    suites = {
        raw_table.name: inferred_raw(domain.suites[raw_table.name], columns, values),
        domain.name: inferred_staged(domain.suites[domain.name], shares),
    }
    expectations = root / layout.SUITES_FOLDER
    outcome: dict[str, Any] = {"tables": [], "written": []}
    problems: list[Problem] = []
    for name, table in ((raw_table.name, raw), (domain.name, validation.flat(sampled.cases))):
        path = expectations / f"{name}.json"
        if write_suite:
            write_json(suites[name], path)
            outcome["written"].append(str(path))
        result = validation.check(
            table, name, inspection.texts.file, ("case_id",), suites[name], expectations
        )
        outcome["tables"].append(
            {
                "table": name,
                "suite": str(path) if path.exists() else "inferred from the rows",
                "n_expectations": result.n_expectations,
                "passed": result.passed,
                "rules": [rule["description"] for rule in suites[name]["expectations"]],
            }
        )
        remedy = f"Correct the rows, or the rule in {path}."
        problems += [Problem(str(failure), remedy, True) for failure in result.failures]
    report["expectations"] = outcome
    return problems
