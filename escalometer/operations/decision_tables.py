"""Decisions in a file or a table, without a project: profile, comparison, verdict and report.

What is needed on the way is in a temporary folder, which is removed at the end.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from escalometer import __version__, layout, warehouse
from escalometer.analysis.decisions import COLUMNS
from escalometer.config import Params
from escalometer.documents import Profile
from escalometer.errors import UsageError, unknown_name
from escalometer.operations.checked_decisions import DECISIONS, Request, Say, check
from escalometer.operations.kept_profiles import Asked
from escalometer.operations.recorded_sources import check_names, with_warnings, write_page
from escalometer.operations.source_profiles import drawn_profiles, profile_of
from escalometer.recorded.given_file import given_file
from escalometer.runtime import object_storage
from escalometer.runtime.files import digest, replacing
from escalometer.runtime.object_storage import Location, S3Address
from escalometer.schema import RECORDED

#: The largest cost ratio.
MOST_RATIO = 1_000_000


@dataclass(frozen=True)
class Reading:
    """Settings for reading a file of decisions.

    Attributes
    ----------
    mapping : mapping of str to str
        Columns of the file by the names of ours that they get.
    kind : {"parquet", "csv", "jsonl"}, optional
        The format, where the file's ending does not tell it.
    standard_input : callable, optional
        Opens standard input, for the file ``-``.
    say : callable
        Takes each step as it begins, in words.
    suites : Path, optional
        The folder of a project's suites; the built-in ones count by default.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    kind: str | None = None
    standard_input: Callable[[], BinaryIO] | None = None
    say: Say = lambda _: None
    suites: Path | None = None


@dataclass(frozen=True)
class DecisionTable:
    """Decisions of a file, checked and completed.

    Attributes
    ----------
    name : str
        What documents call it: the file's name.
    place : str
        The path as it was given.
    known : mapping
        Its record, as that of an import: models, domains and others with their counts, warnings.
    decisions : Path
        A Parquet file in the columns of `schema.RECORDED`.
    digest : str
        sha256 of the file that was given, in hexadecimal.
    """

    name: str
    place: str
    known: Mapping[str, Any]
    decisions: Path
    digest: str

    def model(self, wanted: str | None = None) -> str:
        """Return the model that is meant: the only one, where none is named.

        Raises
        ------
        UsageError
            If there is no such model, or there are several and none is named.
        """
        models: Mapping[str, int] = self.known["models"]
        if wanted is not None:
            if wanted not in models:
                raise unknown_name("model", wanted, models)
            return wanted
        if len(models) > 1:
            listed = ", ".join(f"{name} ({n:,} rows)" for name, n in models.items())
            raise UsageError(f"{self.name} has {len(models)} models: {listed}. Name one: --model")
        return next(iter(models))

    def rows(self, model: str, label: str | None = None) -> pa.Table:
        """Return the decisions of a model, in the columns that metrics read; renamed to `label`."""
        schema = pa.schema([RECORDED.field(name) for name in COLUMNS])
        rows = warehouse.read_rows([self.decisions], COLUMNS, {"model": [model]}).cast(schema)
        if label in (None, model):
            return rows
        names = pa.repeat(pa.scalar(label, pa.string()), rows.num_rows)
        place = rows.column_names.index("model")
        return rows.set_column(place, rows.schema.field(place), names)


@contextlib.contextmanager
def opened(file: Location, reading: Reading) -> Iterator[DecisionTable]:
    """Yield the decisions of a file while the block runs; parameters and errors as `load`."""
    folder = temporary_folder()
    try:
        yield load(file, folder, reading)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def temporary_folder() -> Path:
    """Return a new folder for the decisions of a file, which the caller removes.

    Raises
    ------
    UsageError
        If no folder for temporary files can be written.
    """
    try:
        return Path(tempfile.mkdtemp(prefix="escalometer-"))
    except OSError as error:
        raise UsageError(
            f"no folder for temporary files: {error.strerror or error}; set TMPDIR to one"
        ) from error


def load(file: Location, folder: Path, reading: Reading, name: str | None = None) -> DecisionTable:
    """Return the decisions of a file, once all of them are known to be valid.

    Parameters
    ----------
    file : Path or S3Address
        A Parquet, CSV or JSONL file, plain or gzipped, a pipe, or ``-``; or a folder on object
        storage.
    folder : Path
        Gets the decisions; an empty one.
    reading : Reading
    name : str, optional
        What documents and messages call it; the file's name by default.

    Raises
    ------
    UsageError
        If there is no such file, or the mapping does not fit it.
    DataError
        If rows break a rule of recorded decisions; the message lists all failures.
    """
    work, checked = folder / "work", folder / "checked"
    work.mkdir()
    checked.mkdir()
    given = given_file(file, work, reading.kind, reading.standard_input, name)
    suites = reading.suites or work  # where there are none, so that the built-in ones count
    request = Request(reading.mapping, suites, keeps_unknown=False, refusal="invalid decisions")
    found = check(given, checked, work, request, reading.say)
    sha256 = digest(given.given)
    shutil.rmtree(work)
    known = {"source": name or Path(given.name).name, "sha256": sha256, **found}
    known["file"] = known["source"]
    return DecisionTable(known["source"], given.name, known, checked / DECISIONS, sha256)


def check_ratio(cost_ratio: float | None) -> None:
    """Refuse a cost ratio that is none; None is not given.

    Raises
    ------
    UsageError
        If it is not in range.
    """
    if cost_ratio is not None and not 1 < cost_ratio <= MOST_RATIO:
        raise UsageError(
            f"the cost ratio must be above 1 and at most {MOST_RATIO:,}, found {cost_ratio}"
        )


def scored_at(params: Params, cost_ratio: float | None) -> Params:
    """Return the parameters with decisions scored at one cost ratio.

    Parameters
    ----------
    params : Params
    cost_ratio : float, optional
        R, above 1; without it, nothing changes.

    Raises
    ------
    UsageError
        If it is not in range.
    """
    check_ratio(cost_ratio)
    if cost_ratio is None:
        return params
    analyze = params.analyze.model_copy(update={"cost_ratios": (cost_ratio,)})
    return params.model_copy(update={"analyze": analyze})


def check_out(path: Location) -> None:
    """Refuse a file for decisions that is not Parquet, or an address without bucket or credentials.

    Raises
    ------
    UsageError
        By its ending, or because of the bucket or credentials.
    Outage
        If the object storage cannot be reached.
    """
    if path.suffix.lower() != ".parquet":
        raise UsageError(f"--out {path}: its name must end in .parquet")
    if isinstance(path, S3Address):
        object_storage.check_bucket(path)


def write(table: DecisionTable, path: Location) -> None:
    """Write the decisions as Parquet, in the columns of `schema.RECORDED`.

    Raises
    ------
    UsageError
        If the file cannot be written.
    Outage
        If the object storage cannot be reached.
    """
    if isinstance(path, S3Address):
        object_storage.upload({path: table.decisions})
        return
    try:
        with replacing(path) as partial:
            shutil.copyfile(table.decisions, partial)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def profile(
    table: DecisionTable,
    params: Params,
    model: str | None = None,
    domains: Sequence[str] | None = None,
    is_pooled: bool = False,
) -> Profile:
    """Return the profile of a model; arguments as for `recorded_sources.profile`.

    Raises
    ------
    UsageError
        If there is no such model or domain, or the model must be named.
    """
    chosen = None if domains is None else tuple(domains)
    asked = Asked(table.name, table.model(model), params, chosen, is_pooled, table.decisions)
    check_names(asked, table.known)
    return with_warnings(profile_of(asked, None), table.known)


def report(
    table: DecisionTable, params: Params, folder: Path, n_processes: int | None = None
) -> Path:
    """Write a page with the profiles of every model into `folder`, and return its path.

    Parameters
    ----------
    table : DecisionTable
    params : Params
        Uses `seed` and `analyze`.
    folder : Path
        Made where it does not exist.
    n_processes : int, optional
        At most so many at a time; as many as there are processors by default.
    """
    page = folder / layout.report_file().name
    models = sorted(table.known["models"])
    asked = [Asked(table.name, model, params, file=table.decisions) for model in models]
    drawn = drawn_profiles(asked, None, n_processes=n_processes)
    try:
        write_page(
            drawn,
            table.known,
            table.decisions,
            params,
            page,
            f"unknown (escalometer {__version__})",
        )
    except OSError as error:
        raise UsageError(f"{page} cannot be written: {error.strerror or error}") from error
    return page
