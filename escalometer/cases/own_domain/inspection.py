"""The inspection of a user's domain: its YAML file, its table, problems and notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from escalometer.cases.own_domain import table_texts
from escalometer.cases.own_domain.columns import BOOLEANS, Column, Problem, normal
from escalometer.cases.own_domain.spec import Feature, Outcome, Spec, parts
from escalometer.cases.own_domain.target_leaks import TargetLeak, find_leaks


def named_columns(spec: Spec) -> list[str]:
    """Return the columns that the YAML file names outside of SQL."""
    stated = [column for _, column in parts(spec.scenario) if column]
    single = [name for name in (spec.label.column, spec.group, spec.id) if name]
    return list(dict.fromkeys([*single, *stated, *(spec.features or ()), *spec.private]))


@dataclass
class Inspection:
    """The result of checking one YAML file against its table.

    Attributes
    ----------
    path : Path
        The YAML file.
    spec : Spec
        Its content.
    texts : Texts
        The rows of the file that it names.
    problems : list of Problem
        Faults; the domain can be built where there are none.
    notes : list of str
        Remarks for its owner.
    columns : dict of str to Column
        The columns that are used, the label's left out, by their names in the file.
    features : dict of str to Feature
        The features that conditions are learned from, by column.
    predicates : list of str
        The conditions' SQL in the staged table's names.
    outcome_of : dict of str to int or None
        The label of each normal form in the label's column; None is left out.
    """

    path: Path
    spec: Spec
    texts: table_texts.Texts
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    features: dict[str, Feature] = field(default_factory=dict)
    predicates: list[str] = field(default_factory=list)
    outcome_of: dict[str, int | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The domain's name."""
        return self.path.stem

    @property
    def raw_name(self) -> str:
        """The raw table's name, and its file's in data/raw."""
        return f"{self.name}_rows"

    @cached_property
    def outcomes(self) -> list[tuple[str, Outcome]]:
        """The outcomes in the order of their labels: of a yes and a no, the no is 0."""
        declared = list(self.spec.label.outcomes.items())
        signs = [BOOLEANS.get(normal(value)) for value, _ in declared]
        return declared[::-1] if signs == [True, False] else declared

    @cached_property
    def values(self) -> dict[str, list[str]]:
        """The rows as texts, column by column, of the columns that the YAML file names."""
        table = self.texts.table
        used = [name for name in named_columns(self.spec) if name in table.column_names]
        return {n: pc.fill_null(table.column(n), "").to_pylist() for n in used}

    @cached_property
    def stated(self) -> list[str]:
        """The columns that the scenario states, in the order of the text."""
        columns = (column for _, column in parts(self.spec.scenario))
        return list(dict.fromkeys(column for column in columns if column))

    @cached_property
    def target_leaks(self) -> list[TargetLeak]:
        """Columns of the scenario that may reveal the label; asked for where it is shown."""
        values = {name: self.columns[name].parse(self.values[name]) for name in self.stated}
        lines = self.path.read_text("utf-8").splitlines()
        return find_leaks(self.columns, values, self.labels, self.stated, lines)

    @cached_property
    def is_empty(self) -> list[bool]:
        """Per row, true where no column holds anything: such a row is not a case."""
        empty = pa.array([True] * self.texts.table.num_rows)
        for column in self.texts.table.columns:
            bare = pc.utf8_trim_whitespace(pc.fill_null(column, ""))
            empty = pc.and_(empty, pc.equal(bare, ""))
        flags: list[bool] = empty.to_pylist()
        return flags

    @cached_property
    def labels(self) -> list[int | None]:
        """Each row's label; None where the row is left out."""
        texts = self.values[self.spec.label.column]
        label_of = {text: self.outcome_of.get(normal(text)) for text in set(texts)}
        return [
            None if is_empty else label_of[text]
            for text, is_empty in zip(texts, self.is_empty, strict=True)
        ]
