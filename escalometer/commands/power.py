"""`escalometer power`: dialogues a condition that show a difference."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from escalometer.errors import UsageError

_SHARE = click.FloatRange(min=0, max=1)
_ABOVE_0 = click.FloatRange(min=0, min_open=True)


@click.command()
@click.option(
    "--difference",
    type=float,
    required=True,
    metavar="D",
    help="Difference to detect: 0.05 is five points.",
)
@click.option("--rate", type=_SHARE, default=0.7, show_default=True, help="Share in the first arm.")
@click.option(
    "--discordance",
    type=_SHARE,
    default=0.2,
    show_default=True,
    help="Share of scenarios on which paired arms differ.",
)
@click.option(
    "--conditions",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Number of conditions in each arm.",
)
@click.option(
    "--power",
    "wanted",
    type=click.FloatRange(min=0.05, max=1, min_open=True, max_open=True),
    default=0.8,
    show_default=True,
    help="Probability of detecting the difference.",
)
@click.option(
    "--pilot-error",
    type=_ABOVE_0,
    metavar="SE",
    help="Standard error of a threshold from a pilot study …",
)
@click.option(
    "--pilot-dialogues",
    type=click.IntRange(min=1),
    help="… with this many dialogues per condition.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def power(
    difference: float,
    rate: float,
    discordance: float,
    conditions: int,
    wanted: float,
    pilot_error: float | None,
    pilot_dialogues: int | None,
    as_json: bool,
) -> None:
    """Compute the number of dialogues per condition that detects a difference between two arms.

    An arm is a model, a release or an intervention; the difference is that of a share, e.g.
    escalation accuracy. Paired arms use the same scenarios and are compared by McNemar's exact
    test. With --pilot-error and --pilot-dialogues, the numbers are for a difference of implicit
    thresholds. Tests are two-sided at 5%.
    """
    if (pilot_error is None) != (pilot_dialogues is None):
        raise UsageError("--pilot-error and --pilot-dialogues belong together: give both")
    try:
        found = _needed(difference, rate, discordance, conditions, wanted)
        if pilot_error is not None and pilot_dialogues is not None:
            found.append(_thresholds(difference, pilot_error, pilot_dialogues, conditions, wanted))
    except ValueError as error:
        raise UsageError(str(error)) from error
    if as_json:
        asked = {
            "difference": difference,
            "rate": rate,
            "discordance": discordance,
            "n_conditions": conditions,
            "power": wanted,
        }
        click.echo(json.dumps({**asked, "designs": found}, allow_nan=False, indent=2))
    else:
        _print(found, difference, rate, discordance, conditions, wanted)


def _needed(
    difference: float, rate: float, discordance: float, conditions: int, wanted: float
) -> list[dict[str, Any]]:
    from escalometer.stats import power as numbers

    least, most = numbers.discordance_bounds(difference, rate)
    if not least <= discordance <= most + 1e-12:
        raise UsageError(
            f"--discordance must be between {least:g} and {most:g} for shares of {rate:g} and "
            f"{rate + difference:g}, found {discordance:g}"
        )
    found = []
    for design, needed in (
        ("unpaired", numbers.unpaired_dialogues(difference, rate, wanted)),
        ("paired", numbers.paired_dialogues(difference, discordance, wanted)),
    ):
        each = -(-needed // conditions)
        n = each * conditions
        achieved = (
            numbers.unpaired_power(n, difference, rate)
            if design == "unpaired"
            else numbers.paired_power(n, difference, discordance)
        )
        found.append(_design(design, each, conditions, achieved))
    return found


def _thresholds(
    difference: float, pilot_error: float, pilot_dialogues: int, conditions: int, wanted: float
) -> dict[str, Any]:
    from escalometer.stats import power as numbers

    variance = pilot_error**2 * pilot_dialogues
    each = numbers.threshold_dialogues(difference, variance, power=wanted)
    achieved = numbers.threshold_power(each, difference, variance)
    return _design("implicit threshold, unpaired", each, conditions, achieved)


def _design(design: str, each: int, conditions: int, achieved: float) -> dict[str, Any]:
    return {
        "design": design,
        "n_per_condition": each,
        "n_per_arm": each * conditions,
        "power": achieved,
    }


def _print(
    found: list[dict[str, Any]],
    difference: float,
    rate: float,
    discordance: float,
    conditions: int,
    wanted: float,
) -> None:
    from rich.console import Console

    from escalometer.documents.wording import count, points, share
    from escalometer.reporting.terminal import Column, plain_table

    titles = ("dialogues per condition", "dialogues per arm", "power")
    table = plain_table([Column("arms", "left"), *titles], gap=2)
    for row in found:
        table.add_row(
            row["design"],
            count(row["n_per_condition"]),
            count(row["n_per_arm"]),
            share(row["power"]),
        )
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100)
    console.print(table)
    unpaired, paired = (count(row["n_per_condition"]) for row in found[:2])
    click.echo(
        f"\nTo detect a change of a share from {share(rate)} to {share(rate + difference)} "
        f"({points(difference)}) with power {share(wanted, 0)}, each of\n{conditions} "
        f"conditions needs {unpaired} dialogues in each arm, or {paired} if both arms use the "
        f"same\nscenarios and differ on {share(discordance)} of them."
    )
