"""Sample sizes of a study: the dialogues that detect a difference between two arms."""

from __future__ import annotations

from escalometer.documents import DesignSize, SampleSizes
from escalometer.errors import UsageError


def run(
    difference: float,
    rate: float = 0.7,
    discordance: float = 0.2,
    conditions: int = 40,
    power: float = 0.8,
    pilot_error: float | None = None,
    pilot_dialogues: int | None = None,
) -> SampleSizes:
    """Return the document of ``escalometer power --json``.

    Parameters
    ----------
    difference : float
        Second arm's share minus the first's, in [-1, 1], not 0.
    rate : float, default 0.7
        The first arm's share, in [0, 1].
    discordance : float, default 0.2
        Share of scenarios on which paired arms differ, in [0, 1].
    conditions : int, default 40
        Conditions in each arm, at least 1.
    power : float, default 0.8
        Probability of detecting the difference, in (0.05, 1).
    pilot_error : float, optional
        Standard error of a threshold from a pilot study, above 0.
    pilot_dialogues : int, optional
        The pilot study's dialogues per condition, at least 1.

    Raises
    ------
    UsageError
        If a number is outside of its range, or one of the two about the pilot study is absent.
    """
    if (pilot_error is None) != (pilot_dialogues is None):
        raise UsageError("--pilot-error and --pilot-dialogues belong together: give both")
    if conditions < 1:
        raise UsageError(f"--conditions must be at least 1, found {conditions}")
    try:
        designs = _shares(difference, rate, discordance, conditions, power)
        if pilot_error is not None and pilot_dialogues is not None:
            variance = pilot_error**2 * pilot_dialogues
            designs.append(_threshold(difference, variance, conditions, power))
    except ValueError as error:
        raise UsageError(str(error)) from error
    return SampleSizes(
        difference=difference,
        rate=rate,
        discordance=discordance,
        n_conditions=conditions,
        power=power,
        designs=tuple(designs),
    )


def _shares(
    difference: float, rate: float, discordance: float, conditions: int, power: float
) -> list[DesignSize]:
    from escalometer.stats import power as numbers

    least, most = numbers.discordance_bounds(difference, rate)
    if not least <= discordance <= most + 1e-12:
        raise UsageError(
            f"--discordance must be between {least:g} and {most:g} for shares of {rate:g} and "
            f"{rate + difference:g}, found {discordance:g}"
        )
    found = []
    for design, needed in (
        ("unpaired", numbers.unpaired_dialogues(difference, rate, power)),
        ("paired", numbers.paired_dialogues(difference, discordance, power)),
    ):
        each = -(-needed // conditions)
        n = each * conditions
        achieved = (
            numbers.unpaired_power(n, difference, rate)
            if design == "unpaired"
            else numbers.paired_power(n, difference, discordance)
        )
        found.append(_size(design, each, conditions, achieved))
    return found


def _threshold(difference: float, variance: float, conditions: int, power: float) -> DesignSize:
    from escalometer.stats import power as numbers

    each = numbers.threshold_dialogues(difference, variance, power=power)
    achieved = numbers.threshold_power(each, difference, variance)
    return _size("implicit threshold, unpaired", each, conditions, achieved)


def _size(design: str, each: int, conditions: int, achieved: float) -> DesignSize:
    return DesignSize(
        design=design, n_per_condition=each, n_per_arm=each * conditions, power=achieved
    )
