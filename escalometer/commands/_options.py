"""Values of options that several commands take: lists of names, cost ratios and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from escalometer.errors import UsageError, unknown_name

#: In the meta data of the context: the folder in which the command was called.
CALLED_IN = "escalometer.called_in"

#: By parameter of `ask`, the variable that replaces it in one run, and what values it takes.
LIMITS: dict[str, tuple[str, click.ParamType[Any]]] = {
    "max_cost_usd": ("ESCALOMETER_MAX_COST", click.FloatRange(min=0, min_open=True)),
    "max_requests": ("ESCALOMETER_MAX_REQUESTS", click.IntRange(min=1)),
    "allow_unpriced": ("ESCALOMETER_ALLOW_UNPRICED", click.BOOL),
    "use_batches": ("ESCALOMETER_BATCH", click.BOOL),
}


class CallersPath(click.Path):
    """A path as the caller sees it: commands themselves run in the project's root."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(path_type=Path, **settings)

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """Return the path, absolute where the command was called below the project's root."""
        folder = context.meta.get(CALLED_IN) if context else None
        if folder is not None and folder != Path.cwd() and str(value) != "-":
            value = folder / Path(value).expanduser()
        return super().convert(value, parameter, context)


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
    """Return the outcomes of dialogues named in a list that is separated by commas.

    Raises
    ------
    UsageError
        If a name is not an outcome.
    """
    from escalometer.dialogue.elicitation.rows import OUTCOMES

    listed = [name.strip() for name in value.split(",") if name.strip()]
    for name in listed:
        if name not in OUTCOMES:
            raise unknown_name("outcome", name, OUTCOMES)
    return listed


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
