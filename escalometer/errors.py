"""The errors that users meet, each with its exit code; README.md, "Commands", lists the codes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EscalometerError(Exception):
    """Base of all errors whose message is meant for the user.

    A message says what was wrong, where, and what to do about it.
    """

    exit_code = 70  # of no kind below; 1 and 2 are verdicts of the gate


class UsageError(EscalometerError):
    """Wrong usage or configuration: a name, a flag or a file that the user wrote."""

    exit_code = 3


class DataError(EscalometerError):
    """Data that does not satisfy what its table must satisfy."""

    exit_code = 4


class ProviderError(EscalometerError):
    """A model that cannot be reached, fetched or loaded."""

    exit_code = 5


class BudgetError(EscalometerError):
    """The budget is used up; everything answered so far is kept."""

    exit_code = 6


class Interrupted(EscalometerError):
    """Stopped by the user; everything answered so far is kept."""

    exit_code = 130


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that does not exist, listing those that do.

    Parameters
    ----------
    kind : str
        What the name should have been, such as ``"domain"``.
    name : str
        What was given.
    known : iterable of str
        The names that exist.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names) or "none"
    return UsageError(f"unknown {kind} {name!r}.{hint} There are: {listed}.")
