"""A profile as text, for a terminal of 80 to 100 columns, with colour or without."""

from __future__ import annotations

from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from escalometer.documents import Profile
from escalometer.documents.wording import ratio, visible
from escalometer.reporting import profile_tables, terminal
from escalometer.reporting.autonomy_rows import autonomy_at, autonomy_caption, autonomy_table
from escalometer.reporting.conclusions import (
    conclusions,
    editions,
    headline,
    origin,
    status_warnings,
)
from escalometer.reporting.confidence import calibration_words, external_words
from escalometer.reporting.headline_variant import headline_variant
from escalometer.reporting.missing_answers import overlap_words
from escalometer.reporting.recommendations import recommended, recommended_at


def profile_text(profile: Profile, cost_ratio: float = 4.0, width: int = 100) -> str:
    """Return the profile as plain text.

    Parameters
    ----------
    profile : Profile
        The profile of one model.
    cost_ratio : float
        R of the optimal threshold and of the table of interventions.
    width : int
        Columns, at least 80.
    """
    return terminal.render(_parts(profile, cost_ratio), width)


def print_profile(profile: Profile, stream: TextIO, cost_ratio: float = 4.0) -> None:
    """Write the profile to `stream`, in colour where that is a terminal.

    Characters that the stream's encoding lacks are written as question marks: a report must not
    fail on a terminal that is set to ASCII.
    """
    terminal.write(_parts(profile, cost_ratio), stream)


def _parts(profile: Profile, cost_ratio: float) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text(f"Escalation profile of {visible(profile.model)}", style="bold"),
        Text(visible(origin(profile))),
        *([Text(visible(editions(profile)))] if editions(profile) else []),
        Text(),
        Text(visible(headline(profile, cost_ratio)), style="bold"),
        *_recommended(profile, cost_ratio),
        Text(),
        terminal.heading("Dialogues by status"),
        *profile_tables.statuses(profile),
    ]
    parts += [
        terminal.indented(Text(f"! {warning}", style="yellow"))
        for warning in status_warnings(profile)
    ]
    parts += [Text(), terminal.heading("Headline numbers (95% intervals)")]
    for conclusion in conclusions(profile, cost_ratio):
        line = Text(f"{conclusion.title:<36}")
        line.append(conclusion.value, style="bold")
        words = Text(conclusion.words)
        if conclusion.aside:
            words.append(f" {conclusion.aside}", style="dim")
        parts += [line, terminal.indented(words)]
    parts.append(
        Text(
            "Intervals hold for these conditions; those 'beyond' resample whole conditions.",
            style="dim",
        )
    )
    notes = [overlap_words(profile), *profile.notes]
    parts += [Text(f"Note: {visible(note)}") for note in notes if note]
    about = headline_variant(profile, cost_ratio)
    confidence = [*calibration_words(profile), *external_words(profile, cost_ratio)]
    at = f"at R = {ratio(cost_ratio)}"
    for title, part in (
        ("Domains", profile_tables.domains(profile)),
        (f"Interventions {at}", profile_tables.interventions(profile, cost_ratio)),
        (
            f"Interventions compared with the baseline {at}",
            profile_tables.differences(profile, cost_ratio),
        ),
        ("Threshold by intervention", profile_tables.thresholds(profile)),
        ("Calibration of confidence", [Text(visible(words)) for words in confidence]),
        (f"Autonomy map {at}", _autonomy(profile, cost_ratio)),
        (f"Escalation rate by condition ({visible(about.name)})", profile_tables.curve(about)),
    ):
        if part:
            parts += [Text(), terminal.heading(title), *part]
    return parts


def _autonomy(profile: Profile, cost_ratio: float) -> list[RenderableType]:
    """Return the autonomy map with its summary; nothing where the ratio was not scored."""
    found = autonomy_at(profile, cost_ratio)
    if found is None:
        return []
    return [Text(visible(autonomy_caption(found))), autonomy_table(found.conditions)]


def _recommended(profile: Profile, cost_ratio: float) -> list[RenderableType]:
    """Return the recommendations: in full at the headlines' cost ratio, briefly at the others."""
    advice = recommended_at(profile, cost_ratio)
    others = [found for found in recommended(profile) if found != advice]
    return [
        *([Text(visible(advice.sentence), style="bold")] if advice else []),
        *(Text(visible(other.brief)) for other in others),
    ]
