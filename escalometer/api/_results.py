"""Sample sizes, and documents as text and as JUnit XML."""

from __future__ import annotations

from escalometer.documents import Comparison, Profile, SampleSizes, Verdict
from escalometer.operations import power as sample_sizes


def power(
    difference: float,
    *,
    rate: float = 0.7,
    discordance: float = 0.2,
    conditions: int = 40,
    power: float = 0.8,
    pilot_error: float | None = None,
    pilot_dialogues: int | None = None,
) -> SampleSizes:
    """Return the numbers of dialogues that detect a difference between two arms, at 5%.

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
        If a number is outside of its range.
    """
    return sample_sizes.run(
        difference, rate, discordance, conditions, power, pilot_error, pilot_dialogues
    )


def summary(
    document: Profile | Comparison | Verdict | SampleSizes,
    *,
    cost_ratio: float | None = None,
    full: bool = False,
    width: int = 100,
) -> str:
    """Return a document as the text that its command prints.

    Parameters
    ----------
    document : Profile, Comparison, Verdict or SampleSizes
    cost_ratio : float, optional
        R of the headlines, of those that the document is scored at; 4, or the least, by default.
    full : bool, default False
        Whether to return all tables of a profile.
    width : int, default 100
        Columns, at least 80.
    """
    from escalometer.reporting.comparison_text import comparison_text
    from escalometer.reporting.gate_text import gate_text
    from escalometer.reporting.power_text import power_text
    from escalometer.reporting.profile_text import profile_text
    from escalometer.reporting.summary_text import summary_text

    if isinstance(document, Verdict):
        return gate_text(document, width)
    if isinstance(document, SampleSizes):
        return power_text(document, width)
    if isinstance(document, Comparison):
        scored = {row.cost_ratio for row in document.differences}
        return comparison_text(document, _headline_ratio(scored, cost_ratio), width)
    ratio = _headline_ratio({row.cost_ratio for row in document.interventions}, cost_ratio)
    return (profile_text if full else summary_text)(document, ratio, width)


def _headline_ratio(scored: set[float | None], wanted: float | None) -> float:
    known = sorted(ratio for ratio in scored if ratio is not None)
    return wanted or (4.0 if 4.0 in known or not known else known[0])


def junit(verdict: Verdict) -> str:
    """Return a verdict as JUnit XML, one test case per rule."""
    from escalometer.reporting.junit import junit_xml

    return junit_xml(verdict)
