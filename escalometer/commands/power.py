"""`escalometer power`: dialogues a condition that show a difference."""

from __future__ import annotations

import json
import sys

import click

from escalometer.commands._options import NumberRange

_SHARE = NumberRange(min=0, max=1)
_ABOVE_0 = NumberRange(min=0, min_open=True)


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
    type=NumberRange(min=0.05, max=1, min_open=True, max_open=True),
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
    from escalometer.operations import power as operation
    from escalometer.reporting.power_text import print_power

    sizes = operation.run(
        difference, rate, discordance, conditions, wanted, pilot_error, pilot_dialogues
    )
    if as_json:
        click.echo(json.dumps(sizes.as_json(), allow_nan=False, indent=2))
    else:
        print_power(sizes, sys.stdout)
