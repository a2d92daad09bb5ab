"""Domains: tables of recorded human decisions, one file each, found by file name.

A new domain is one file: `escalometer/cases/domains/<name>.py` that defines
``DOMAIN = Domain(...)``, or, for a user's table, `domains/<name>.yaml` (see
`escalometer.cases.own_domain.build`). A Python domain has its staging statement
`sql/staging/<name>.sql` and suites of its tables in `expectations/`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from escalometer.cases.features import Feature
from escalometer.cases.task import Task
from escalometer.warehouse import RawTable

__all__ = ["Condition", "Domain", "Download", "Edition", "RawTable", "load_shipped", "shipped"]


@dataclass(frozen=True)
class Download:
    """A public file that can be fetched without a login.

    Attributes
    ----------
    release : str
        What is fetched, as `escalometer data fetch --release` takes it: ``"ml-25m"``.
    url, file : str
        The public address, and the name to keep the file under.
    n_bytes : int or None
        Its published size.
    checksum : str or None
        ``"sha256:…"`` or ``"md5:…"`` as published; None where none is.
    members : tuple of str
        Base names to unpack, where the file is an archive.
    """

    release: str
    url: str
    file: str
    n_bytes: int | None = None
    checksum: str | None = None
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edition:
    """One form in which a domain's rows are published; all editions give the same staged table.

    Attributes
    ----------
    name : str
        Short name, unique in the domain: ``"raw"``, ``"derived"``.
    raw_tables : tuple of RawTable
        The files that make it up; it is present where all of them are.
    provenance : mapping
        ``source``, ``edition``, ``licence``, ``citation``, ``decisions_of`` (whose decisions), and
        further remarks for a reader.
    is_derived : bool
        Whether somebody computed these rows from the published ones.
    releases : mapping of str to str
        Known files: sha256 of the uncompressed content, and the release that it belongs to. Other
        bytes in the same columns are a user's.
    downloads : tuple of Download
        What `escalometer data fetch` can bring; the first is the default.
    instructions : str
        Where a person finds the file that cannot be fetched (a login, a click).
    bring : callable or None
        ``bring(folder)`` writes the edition's files, where they ship with the project.
    """

    name: str
    raw_tables: tuple[RawTable, ...]
    provenance: Mapping[str, str]
    is_derived: bool = False
    releases: Mapping[str, str] = field(default_factory=dict)
    downloads: tuple[Download, ...] = ()
    instructions: str = ""
    bring: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Condition:
    """A subgroup of a domain, which a signal describes.

    Attributes
    ----------
    name : str
        Short name, unique in the domain: ``"loan_over_90_percent"``.
    predicate : str
        SQL expression over the staged table's columns.
    phrase : str
        Fills the domain's `signal_template`: ``"the loan exceeds 90% of the property's value"``.
    published : int or None
        The per cent of label 1 that the publication states for it.
    """

    name: str
    predicate: str
    phrase: str
    published: int | None = None


@dataclass(frozen=True)
class Domain:
    """One domain: its task, editions, conditions, features and the rendering of a case.

    Attributes
    ----------
    name, title : str
        Identifier (the file's stem) and the name that people read.
    task : Task
        The words that prompts need.
    editions : tuple of Edition
        In which forms the rows may come; an edition with `bring` is used where no file is there.
    signal_template : str
        The signal with ``{phrase}``, ``{percent}`` and ``{outcome}``.
    outcomes : tuple of str
        The signal's words for the cases with label 0, 1, …: ``("were denied", "were approved")``.
    render : callable
        ``render(row)`` gives the scenario's text from one staged row (column name to value). Free
        text in it has gone through `escalometer.cases.sanitize`.
    conditions : tuple of Condition
        Predicates over the staged table; where there are none, conditions are learned.
    features : tuple of Feature
        What conditions can be learned from, each stated in the scenario's text.
    expected_outcome : str
        The signal's ``{outcome}`` where the staged table has `expected_label`.
    private_columns : frozenset of str
        Columns that stay in the table and never reach `render`, a predicate or a feature.
    is_main : bool
        Whether the implicit threshold counts it (all but moral_machine).
    frame : callable or None
        ``frame(row)`` gives the part of the text that the project writes, where the rest is a
        stranger's words; None where the project writes all of it. Its form must not reveal the
        label.
    stage : callable or None
        ``stage(connection)`` gives the staged table from the loaded raw ones; None for the
        statements in `sql/staging`.
    warnings : callable or None
        ``warnings()`` gives sentences about the rows that every run repeats, such as columns that
        may reveal the label.
    suites : mapping of str to suite
        Great Expectations suites by table name; a file in `expectations` of that name comes first.

    Notes
    -----
    The staged table has one row a case, with at least ``case_id`` (text, unique), ``source_row``
    and ``label`` (0, 1, …: an index into `task.meanings`). It may have ``split_key`` (text): cases
    of one key, such as one person's, are never in two splits. And it may have ``expected_label``:
    the signal's prediction for the case, where that differs from case to case under one condition;
    elsewhere a signal states the share of the condition's most frequent label.

    Where `sql/staging/<domain>__<edition>.sql` exists, it brings that edition's raw tables into the
    table `<domain>_source`, which `sql/staging/<domain>.sql` then reads.
    """

    name: str
    title: str
    task: Task
    editions: tuple[Edition, ...]
    signal_template: str
    outcomes: tuple[str, ...]
    render: Callable[[Mapping[str, Any]], str]
    conditions: tuple[Condition, ...] = ()
    features: tuple[Feature, ...] = ()
    expected_outcome: str = ""
    private_columns: frozenset[str] = field(default_factory=frozenset)
    is_main: bool = True
    frame: Callable[[Mapping[str, Any]], str] | None = None
    stage: Callable[[Any], Any] | None = None
    suites: Mapping[str, Any] = field(default_factory=dict)
    warnings: Callable[[], list[str]] | None = None


def shipped() -> list[str]:
    """Return the domains that ship with the project, in alphabetical order."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def load_shipped(name: str) -> Domain:
    """Return the domain that the file `name` of this package defines."""
    domain: Domain = importlib.import_module(f"{__name__}.{name}").DOMAIN
    return domain
