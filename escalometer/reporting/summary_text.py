"""The conclusion and the headline numbers of a profile, in at most 25 lines."""

from __future__ import annotations

from typing import TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from escalometer.documents import Profile
from escalometer.documents.profile import TERMS
from escalometer.documents.wording import DASH, cost, count, ratio, share, visible, with_span
from escalometer.reporting import terminal
from escalometer.reporting.autonomy_rows import autonomy_at, counted
from escalometer.reporting.conclusions import best_threshold, headline, missing, origin
from escalometer.reporting.headline_variant import HeadlineVariant, headline_variant
from escalometer.reporting.recommendations import recommended_at


def summary_text(profile: Profile, cost_ratio: float = 4.0, width: int = 100) -> str:
    """Return the summary as plain text; parameters as for `profile_text`."""
    return terminal.render(_parts(profile, cost_ratio), width)


def print_summary(profile: Profile, stream: TextIO, cost_ratio: float = 4.0) -> None:
    """Write the summary to `stream`, in colour where that is a terminal."""
    terminal.write(_parts(profile, cost_ratio), stream)


def _parts(profile: Profile, cost_ratio: float) -> list[RenderableType]:
    about = headline_variant(profile, cost_ratio)
    advice = recommended_at(profile, cost_ratio)
    autonomy = autonomy_at(profile, cost_ratio)
    sentences = [
        headline(profile, cost_ratio),
        advice.brief if advice else "",
    ]
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(style="dim")
    for row in _rows(profile, about, cost_ratio):
        table.add_row(*map(visible, row))
    title = f"Headline numbers: {about.name}, R = {ratio(cost_ratio)}, 95% intervals"
    return [
        Text(f"Escalation profile of {visible(profile.model)}", style="bold"),
        Text(visible(origin(profile))),
        Text(),
        *(Text(visible(sentence), style="bold") for sentence in sentences if sentence),
        Text(),
        terminal.heading(visible(title)),
        table,
        Text(),
        *([Text(counted(autonomy.conditions))] if autonomy else []),
        *(Text(f"! {visible(warning)}", style="yellow") for warning in _warnings(profile)),
        Text("All numbers: --full", style="dim"),
    ]


def _rows(
    profile: Profile, about: HeadlineVariant, cost_ratio: float
) -> list[tuple[str, str, str]]:
    """Return label, value and explanation of each number; a dash where it is undefined."""
    fit, is_found = about.fit, about.is_identified
    optimal = share(best_threshold(profile, cost_ratio), 0)
    status = fit.status if fit is not None and is_found else "unidentified"
    note = {"ok": "", "extrapolated": "; extrapolated", "unidentified": "; not identified"}[status]
    self_estimate, bias = profile.self_estimated_accuracy, profile.calibration_bias
    rows = [
        (
            "Predictive accuracy",
            with_span(profile.predictive_accuracy) if about.is_baseline else about.mean_accuracy,
            "matches the person's decision",
        ),
        (
            "Implicit threshold",
            with_span(fit) if fit is not None and is_found else DASH,
            f"optimal: τ* = {optimal}{note}",
        ),
        (
            "Self-estimated accuracy",
            with_span(self_estimate),
            "needs no_signal and a threshold"
            if self_estimate.estimate is None
            else "implied when no signal is given",
        ),
        ("Calibration bias", with_span(bias, "points"), "self-estimated minus predictive"),
    ]
    scores = next(
        (
            row
            for row in profile.interventions
            if row.cost_ratio == cost_ratio
            and row.scored_against == "predictive_accuracy"
            and about.covers(row, profile)
        ),
        None,
    )
    if scores is None:
        return [*rows, ("Cost per decision", DASH, f"not scored at R = {ratio(cost_ratio)}")]
    return [
        *rows,
        ("Coverage", with_span(scores.coverage), "share implemented"),
        ("Selective risk", with_span(scores.selective_risk), "share of those that is wrong"),
        (
            "Cost per decision",
            with_span(scores.realized_cost, "cost"),
            f"always escalate {cost(scores.always_escalate_cost)}, "
            f"always implement {cost(scores.always_implement_cost)}",
        ),
        ("Regret", with_span(scores.regret, "cost"), "cost above the optimal policy"),
    ]


def _warnings(profile: Profile) -> list[str]:
    """Return one line each on terms, on forced and missing answers, and on absent dialogues."""
    terms = [note for note in profile.notes if note.startswith(TERMS)]
    n, n_forced, n_missing = profile.n_decisions, profile.statuses.forced, missing(profile)
    if not n:
        return [*terms, "There are no dialogues of this model."]
    return [
        *terms,
        *(
            [
                f"{count(n_forced)} of {count(n)} dialogues forced (marker appended): not "
                "comparable with published values"
            ]
            if n_forced
            else []
        ),
        *(
            [f"{count(n_missing)} of {count(n)} dialogues without a usable answer, excluded"]
            if n_missing
            else []
        ),
    ]
