"""Commands on a file of decisions, without a project: reading it, and options that need one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from escalometer import layout
from escalometer.errors import UsageError
from escalometer.runtime.interruption import interruptible
from escalometer.runtime.object_storage import Location

if TYPE_CHECKING:
    from escalometer.config import Params
    from escalometer.operations.decision_tables import DecisionTable


def standard_input() -> BinaryIO:
    """Return standard input as bytes.

    Raises
    ------
    UsageError
        If it is a terminal.
    """
    stream = sys.stdin.buffer
    if stream.isatty():
        raise UsageError("standard input is a terminal: pipe decisions to this command")
    return stream


@contextlib.contextmanager
def opened_tables(
    files: Sequence[Location], mapping: Mapping[str, str], kind: str | None, root: Path | None
) -> Iterator[list[DecisionTable]]:
    """Yield the decisions of files while the block runs; warnings go to standard error.

    Rows are checked by the suites of the project, if there is one, and by the built-in ones. Copies
    are removed when the block ends, also on Ctrl-C and SIGTERM.
    """
    from escalometer.documents.wording import visible
    from escalometer.operations.decision_tables import Reading, opened
    from escalometer.recorded.given_file import has_known_ending

    if [str(file) for file in files].count("-") > 1:
        raise UsageError("standard input can be read once: name a file for the other table")

    def say(text: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"{visible(text)} …", err=True)

    suites = None if root is None else root / layout.SUITES_FOLDER
    reading = Reading(mapping, kind, standard_input, say, suites)
    by_ending = replace(reading, kind=None)
    with interruptible(), contextlib.ExitStack() as stack:
        tables = []
        for file in files:
            # Of two files, the option is about the one whose ending does not tell its format.
            is_told = len(files) > 1 and has_known_ending(file.name)
            table = stack.enter_context(opened(file, by_ending if is_told else reading))
            for warning in table.known["warnings"]:
                click.echo(f"warning: {visible(table.name)}: {visible(warning)}", err=True)
            tables.append(table)
        yield tables


@contextlib.contextmanager
def opened_ledger(root: Path) -> Iterator[DecisionTable]:
    """Yield a sample of the project's ledger while the block runs, as `opened_tables` does."""
    from escalometer.documents.wording import visible
    from escalometer.operations import ledger_source
    from escalometer.operations.decision_tables import Reading

    with (
        interruptible(),
        ledger_source.opened(root, Reading(suites=root / layout.SUITES_FOLDER)) as table,
    ):
        for warning in table.known["warnings"]:
            click.echo(f"warning: {table.name}: {visible(warning)}", err=True)
        yield table


def project_settings() -> tuple[Params, Path | None]:
    """Return the settings, and the root of the project; the built-in ones outside of a project.

    Raises
    ------
    UsageError
        If the project's params.yaml has a key or value that it may not have.
    """
    from escalometer.config import default_params, load_params

    root = layout.find_root(Path.cwd())  # a params.yaml alone may be another program's
    return (default_params(), None) if root is None else (load_params(), root)


def refuse_options(given: Mapping[str, Any], command: str) -> None:
    """Refuse options that belong to a file, where a model is named.

    Parameters
    ----------
    given : mapping
        Values by option; what is empty or None was not given.
    command : str
        The command, for the message.

    Raises
    ------
    UsageError
        If one is given.
    """
    for option, value in given.items():
        if value:
            raise UsageError(
                f"{option} belongs to a file of decisions: escalometer {command} FILE {option} …"
            )
