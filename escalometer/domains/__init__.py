"""Domains: tables of recorded human decisions, one file each, found by file name.

A new domain is one file here that defines ``DOMAIN = Domain(...)``, its staging statement
`sql/staging/<name>.sql`, the suite of its raw table `expectations/<raw table>.json`, and its name
in params.yaml under `domains`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from escalometer.errors import unknown_name
from escalometer.protocol import Task


@dataclass(frozen=True)
class RawTable:
    """One raw file of a domain, in its published columns.

    Attributes
    ----------
    name : str
        Name of the table, of the file (`data/raw/<domain>/<name>.csv`) and of its suite.
    columns : mapping of str to str
        Published column names and their DuckDB types.
    """

    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Condition:
    """A subgroup of a domain that a signal speaks about.

    Attributes
    ----------
    name : str
        Short name, unique in the domain: ``"loan_over_90_percent"``.
    predicate : str
        SQL expression over the staged table's columns; ours, never a user's text.
    phrase : str
        Fills the domain's `signal_template`: ``"the loan exceeds 90% of the property's value"``.
    """

    name: str
    predicate: str
    phrase: str


@dataclass(frozen=True)
class Domain:
    """All that the pipeline needs to know of one domain.

    Attributes
    ----------
    name, title : str
        Identifier (the file's stem) and the name that people read.
    task : Task
        The words that prompts need.
    raw_tables : tuple of RawTable
        The raw files.
    fetch : callable
        ``fetch(folder)`` writes the raw files that `folder` lacks.
    provenance : mapping
        ``source``, ``edition``, ``licence``, ``citation``, ``decisions_of`` (whose decisions).
    conditions : tuple of Condition
        Predicates over the staged table.
    signal_template : str
        The signal with ``{phrase}`` and ``{percent}``.
    render : callable
        ``render(row)`` gives the scenario's text from one staged row (column name to value).
    private_columns : frozenset of str
        Columns that stay in the table and never reach `render` or a predicate.
    is_main : bool
        Whether the implicit threshold counts it (all but moral_machine).

    Notes
    -----
    The staged table has one row a case, with at least ``case_id`` (text, unique), ``split_key``
    (text; equal keys always fall into the same split) and ``label`` (0 or 1).
    """

    name: str
    title: str
    task: Task
    raw_tables: tuple[RawTable, ...]
    fetch: Callable[[Path], None]
    provenance: Mapping[str, str]
    conditions: tuple[Condition, ...]
    signal_template: str
    render: Callable[[Mapping[str, Any]], str]
    private_columns: frozenset[str] = field(default_factory=frozenset)
    is_main: bool = True


def names() -> list[str]:
    """Return the domains that exist, in alphabetical order."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def load(name: str) -> Domain:
    """Return the domain `name`.

    Raises
    ------
    UsageError
        If there is no such domain.
    """
    if name not in names():
        raise unknown_name("domain", name, names())
    domain: Domain = importlib.import_module(f"{__name__}.{name}").DOMAIN
    return domain
