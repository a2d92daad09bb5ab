"""Errors that users can correct, with exit codes: docs/reference/exit-codes.md."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EscalometerError(Exception):
    """Base of all errors with a message for the user: what is wrong, where, and what to do."""

    exit_code = 70  # 1 and 2 are verdicts of the gate


class UsageError(EscalometerError):
    """Wrong usage or configuration: a name, an option or a file of the user."""

    exit_code = 3


class MissingExtra(UsageError):
    """A package of an extra that is not installed."""


class DataError(EscalometerError):
    """Data that violates the expectations of its table."""

    exit_code = 4


class ProviderError(EscalometerError):
    """A model that cannot be reached, fetched or loaded."""

    exit_code = 5


class Outage(ProviderError):
    """A provider that does not answer at the moment: the same command may succeed later."""


class BudgetError(EscalometerError):
    """The budget is spent; all answers are kept."""

    exit_code = 6


class Interrupted(EscalometerError):
    """Interrupted by the user; all answers are kept."""

    exit_code = 130


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that does not exist, listing those that do.

    Parameters
    ----------
    kind : str
        Kind of the name, such as ``"domain"``.
    name : str
        The unknown name.
    known : iterable of str
        Existing names.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names) or "none"
    return UsageError(f"unknown {kind} {name!r}.{hint} There are: {listed}.")


def missing_extra(problem: str, extra: str) -> MissingExtra:
    """Return the error for a package that is not installed, with the command that installs it.

    Parameters
    ----------
    problem : str
        What is missing and where, as a sentence without its full stop.
    extra : str
        The extra's name, as in ``pip install 'escalometer[NAME]'``.
    """
    return MissingExtra(
        f"{problem}. Install the extra {extra!r}: pip install 'escalometer[{extra}]'"
    )
