"""A profile as text, for a terminal of 80 to 100 columns, with colour or without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from escalometer.documents.wording import count, ratio, visible
from escalometer.reporting import terminal
from escalometer.reporting.conclusions import (
    editions,
    findings,
    headline,
    origin,
    status_rows,
    status_warnings,
)
from escalometer.reporting.missing_answers import overlap_words
from escalometer.reporting.profile_text_parts import confidence, differences, domains, thresholds
from escalometer.reporting.profile_text_tables import curve, interventions, plain_table
from escalometer.reporting.recommendations import recommended, recommended_at


def profile_text(profile: Mapping[str, Any], cost_ratio: float = 4.0, width: int = 100) -> str:
    """Return the profile as plain text.

    Parameters
    ----------
    profile : mapping
        The document of ``escalometer profile --json``.
    cost_ratio : float
        R of the optimal threshold and of the table of interventions.
    width : int
        Columns, at least 80.
    """
    return terminal.render(_parts(profile, cost_ratio), width)


def print_profile(profile: Mapping[str, Any], stream: TextIO, cost_ratio: float = 4.0) -> None:
    """Write the profile to `stream`, in colour where that is a terminal.

    Characters that the stream's encoding lacks are written as question marks: a report must not
    fail on a terminal that is set to ASCII.
    """
    terminal.write(_parts(profile, cost_ratio), stream)


def _parts(profile: Mapping[str, Any], cost_ratio: float) -> list[RenderableType]:
    name = visible(profile["model"])
    parts: list[RenderableType] = [
        Text(f"Escalation profile of {name}", style="bold"),
        Text(visible(origin(profile))),
        *([Text(visible(editions(profile)))] if editions(profile) else []),
        Text(),
        Text(visible(headline(profile, cost_ratio)), style="bold"),
        *_recommended(profile, cost_ratio),
        Text(),
        terminal.heading("How the dialogues ended"),
        _statuses(profile),
    ]
    parts += [
        terminal.indented(Text(f"! {said}", style="yellow")) for said in status_warnings(profile)
    ]
    parts += [Text(), terminal.heading("The model as a whole (95 % intervals)")]
    for finding in findings(profile, cost_ratio):
        line = Text(f"{finding.title:<36}")
        line.append(finding.value, style="bold")
        words = Text(finding.words)
        if finding.aside:
            words.append(f" {finding.aside}", style="dim")
        parts += [line, terminal.indented(words)]
    parts.append(
        Text(
            "Intervals hold for these conditions; those 'beyond' them resample whole conditions.",
            style="dim",
        )
    )
    notes = [overlap_words(profile), *(profile.get("notes") or [])]
    parts += [Text(f"Note: {visible(said)}") for said in notes if said]
    at = f"at R = {ratio(cost_ratio)}"
    for title, part in (
        ("Each domain by itself", domains(profile)),
        (f"Interventions {at}", interventions(profile, cost_ratio)),
        (f"What interventions change against the baseline {at}", differences(profile, cost_ratio)),
        ("Threshold under each intervention with a signal", thresholds(profile)),
        ("What its own confidence is worth", confidence(profile, cost_ratio)),
        ("Escalation rate by condition (baseline)", curve(profile)),
    ):
        if part:
            parts += [Text(), terminal.heading(title), *part]
    return parts


def _recommended(profile: Mapping[str, Any], cost_ratio: float) -> list[RenderableType]:
    """Return what to do: in full at the headlines' cost ratio, briefly at the others."""
    chosen = recommended_at(profile, cost_ratio)
    others = [found for found in recommended(profile) if chosen is None or found != chosen]
    return [
        *([Text(visible(chosen.sentence), style="bold")] if chosen else []),
        *(Text(visible(found.brief)) for found in others),
    ]


def _statuses(profile: Mapping[str, Any]) -> Table:
    table = plain_table()
    table.add_column("status")
    table.add_column("dialogues", justify="right")
    table.add_column("share", justify="right")
    table.add_column("meaning")
    for status, n, part, words in status_rows(profile):
        table.add_row(visible(status), count(n), part, words)
    return table
