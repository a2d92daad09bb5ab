"""Arguments and values of options that several commands take: names, ratios, outcomes, files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from escalometer.errors import UsageError, unknown_name
from escalometer.runtime.object_storage import Location, S3Address, is_address


class NumberRange(click.FloatRange):
    """A number in a range: click lets NaN through."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """Return the number; NaN fails as a number out of the range does."""
        found = super().convert(value, parameter, context)
        if math.isnan(found):
            self.fail(f"{value} is not in the range {self._describe_range()}.", parameter, context)
        return found


#: In the meta data of the context: the folder in which the command was called.
CALLED_IN = "escalometer.called_in"

#: Where cells are asked side by side: `config.AskParams.runner`.
RUNNERS = ("processes", "dask", "ray")

#: By parameter of `ask`, the variable that replaces it in one run, and what values it takes.
LIMITS: dict[str, tuple[str, click.ParamType[Any]]] = {
    "max_cost_usd": ("ESCALOMETER_MAX_COST", NumberRange(min=0, min_open=True)),
    "max_requests": ("ESCALOMETER_MAX_REQUESTS", click.IntRange(min=1)),
    "allow_unpriced": ("ESCALOMETER_ALLOW_UNPRICED", click.BOOL),
    "use_batches": ("ESCALOMETER_BATCH", click.BOOL),
    "runner": ("ESCALOMETER_RUNNER", click.Choice(RUNNERS)),
    "cluster": ("ESCALOMETER_CLUSTER", click.STRING),
    "n_workers": ("ESCALOMETER_WORKERS", click.IntRange(min=1)),
}

Command = TypeVar("Command", bound=Callable[..., Any])


def callers_path(value: str | Path, context: click.Context | None) -> Path:
    """Return a path as the caller sees it, absolute if called below the project's root."""
    folder = context.meta.get(CALLED_IN) if context else None
    if folder is None or folder == Path.cwd() or str(value) == "-":
        return Path(value)
    return Path(folder, Path(value).expanduser())


class CallersPath(click.Path):
    """A path as the caller sees it: commands themselves run in the project's root."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(path_type=Path, **settings)

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """Return the path, absolute where the command was called below the project's root."""
        if isinstance(value, str) and is_address(value):
            self.fail(f"{value} is on object storage: name a local path.", parameter, context)
        return super().convert(callers_path(value, context), parameter, context)


class CallersLocation(CallersPath):
    """A path as the caller sees it, or an address on object storage."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """Return the path or the address."""
        if isinstance(value, str) and is_address(value):
            return S3Address.parse(value)
        return super().convert(value, parameter, context)


def files_or_models(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Return `file_or_model` of a value, or of each of several; None where nothing was given."""
    if isinstance(value, tuple):
        return tuple(file_or_model(one, context) for one in value)
    return None if value is None else file_or_model(value, context)


def file_or_model(value: str, context: click.Context | None = None) -> Location | str:
    """Return a path for ``-``, what exists as a file, and names that end as files do.

    Addresses on object storage are files.

    Raises
    ------
    UsageError
        If it is a database, which few commands read.
    """
    from escalometer.recorded.given_file import STANDARD_INPUT, has_known_ending

    if is_address(value):
        return S3Address.parse(value)
    if is_database(value):
        raise UsageError(
            "a database is read by `escalometer profile` alone: export the table to Parquet, and "
            "name the file"
        )
    path = callers_path(value, context)
    if value == STANDARD_INPUT or has_known_ending(value):
        return path
    return path if path.exists() and not path.is_dir() else value


def is_database(value: str) -> bool:
    """Return whether a value is the address of a database; it may contain a password."""
    if "://" not in value:
        return False
    from escalometer.warehouse import databases

    return databases.is_database(value)


def file_database_or_model(
    context: click.Context, _parameter: click.Parameter, value: str
) -> Location | str:
    """Return `file_or_model` of a value, and the address of a database unchanged."""
    return value if is_database(value) else file_or_model(value, context)


def column_map(_context: click.Context, _parameter: click.Parameter, values: Any) -> dict[str, str]:
    """Return the columns of a file by the names that they get, from NAME=COLUMN.

    Raises
    ------
    UsageError
        If a value is not of that form, or a name is given twice.
    """
    mapping: dict[str, str] = {}
    for value in values:
        name, equals, column = value.partition("=")
        if not (equals and name.strip() and column):
            raise UsageError(f"--map takes NAME=COLUMN, e.g. label=outcome, found {value!r}")
        if mapping.setdefault(name.strip(), column) != column:
            raise UsageError(f"--map {name.strip()} is given twice: {mapping[name]} and {column}")
    return mapping


def cost_ratio_option(command: Command) -> Command:
    """Add the cost ratio that decisions of a file are scored at."""
    add = click.option(
        "--cost-ratio",
        type=NumberRange(min=1, max=1_000_000, min_open=True),
        metavar="R",
        help="Cost of a wrong action in escalations, for FILE; analyze.cost_ratios by default.",
    )
    return add(command)


def reading_options(command: Command) -> Command:
    """Add the options of how a file of decisions is read: `mapping` and `kind`."""
    add_kind = click.option(
        "--format",
        "kind",
        type=click.Choice(("parquet", "csv", "jsonl")),
        help="Format of FILE; by its ending, or its content, by default.",
    )
    add_map = click.option(
        "--map",
        "mapping",
        multiple=True,
        callback=column_map,
        metavar="NAME=COLUMN",
        help="Read the column NAME from COLUMN of FILE, e.g. label=outcome (repeatable).",
    )
    return add_map(add_kind(command))


def names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Any:
    """Return a list of names that are separated by commas; None where nothing was given.

    Raises
    ------
    UsageError
        If there is no name in it.
    """
    if value is None:
        return None
    found = [name.strip() for name in value.split(",") if name.strip()]
    if not found:
        raise UsageError("empty list of names: separate names by commas, e.g. a,b")
    return found


def ratios(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """Return a list of cost ratios, whole ones as int; None where nothing was given.

    Raises
    ------
    UsageError
        If something in it is not a number.
    """
    found = names(context, parameter, value)
    if found is None:
        return None
    try:
        numbers = [float(name) for name in found]
    except ValueError as error:
        raise UsageError(f"--cost-ratios takes numbers above 1, e.g. 4,10: {error}") from error
    return [int(number) if number.is_integer() else number for number in numbers]


def outcomes(value: str) -> list[str]:
    """Return the outcomes of dialogues named in a list that is separated by commas, or all.

    Raises
    ------
    UsageError
        If a name is not an outcome.
    """
    from escalometer.dialogue.elicitation.rows import OUTCOMES

    listed = [name.strip() for name in value.split(",") if name.strip()]
    if listed == ["all"]:
        return list(OUTCOMES)
    for name in listed:
        if name not in OUTCOMES:
            raise unknown_name("outcome", name, OUTCOMES)
    return listed


def utc_time(value: str) -> str | None:
    """Return a time as the completion store writes it, None for an empty text.

    Raises
    ------
    UsageError
        If it is no time in ISO 8601.
    """
    if not value:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError as error:
        raise UsageError(
            f"{value!r} is not a time in ISO 8601, such as 2026-12-01T06:00"
        ) from error
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return time.isoformat(timespec="seconds")


def read_limits(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the limits of requests that the environment sets for one run, by key of `ask`.

    Raises
    ------
    UsageError
        If a value is not allowed.
    """
    found = {}
    for key, (variable, kind) in LIMITS.items():
        if value := environment.get(variable):
            try:
                found[key] = kind.convert(value, None, None)
            except click.BadParameter as error:
                raise UsageError(f"{variable}: {error.message}") from error
    return found


def spell_limits(limits: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables by which the stages of a run learn its limits: as `read_limits` reads.

    Parameters
    ----------
    limits : mapping of str to Any
        By key of `ask`.
    """
    return {LIMITS[key][0]: str(value) for key, value in limits.items()}
