"""What a profile says, in sentences for somebody who answers for the risk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from escalometer.documents.wording import (
    DASH,
    MISSING,
    STATUS_WORDS,
    count,
    estimate,
    points,
    ratio,
    share,
    span,
)
from escalometer.reporting.missing_answers import kept_together, moved_words
from escalometer.schema import STATUSES
from escalometer.stats.policy import optimal_threshold


@dataclass(frozen=True)
class Finding:
    """One number of a profile and what it means.

    Attributes
    ----------
    title, number, words : str
        Its name, itself (a dash where undefined), and what that says.
    bounds, beyond : str
        The interval for these conditions and the one that resamples whole conditions; a dash
        where undefined.
    flag : str
        Why the number is not one to rely on: ``unidentified``, ``extrapolated`` or nothing.
    together : str
        The interval that keeps scenarios together, where it says something of its own.
    moved : str
        What missing answers could have made of it, as a sentence; empty where nothing.
    """

    title: str
    number: str
    words: str
    bounds: str = DASH
    beyond: str = DASH
    flag: str = ""
    together: str = ""
    moved: str = ""

    @property
    def aside(self) -> str:
        """What is to be known beside the number and what it means; may be empty."""
        wider = [f"Beyond these conditions: {self.beyond}"] if self.beyond != DASH else []
        if self.together:
            said = f"scenarios kept together: {self.together}"
            wider.append(f"with {said}" if wider else f"With {said}")
        return " ".join([*([f"{'; '.join(wider)}."] if wider else []), self.moved]).strip()

    @property
    def value(self) -> str:
        """The number with its interval: ``61.3 % [58.0, 64.4]``."""
        return self.number if self.bounds == DASH else f"{self.number} {self.bounds}"


def _finding(
    title: str,
    interval: Mapping[str, Any] | None,
    words: str,
    undefined: str,
    unit: str = "share",
    flag: str = "",
    n_missing: int = 0,
) -> Finding:
    """Return the finding of an interval, `undefined` in the place of `words` without estimate."""
    number = estimate(interval, unit)
    if number == DASH:
        return Finding(title, DASH, undefined)
    bounds = span(interval, unit)
    said = f"{words} It has no interval." if bounds == DASH else words
    return Finding(
        title,
        number,
        said,
        bounds,
        span(interval, unit, "clustered_"),
        flag,
        kept_together(interval, unit),
        moved_words(interval, n_missing, unit),
    )


def best_threshold(profile: Mapping[str, Any], cost_ratio: float) -> float:
    """Return τ* for the profile's human error rate; 0 where escalating never pays."""
    return max(0.0, float(optimal_threshold(cost_ratio, profile.get("human_error_rate") or 0)))


def origin(profile: Mapping[str, Any]) -> str:
    """Return in one line what the headline numbers are computed from."""
    parts = [f"{count(profile['n_decisions'])} dialogues", f"source: {profile['source']}"]
    if profile.get("reasoning_effort"):
        parts.append(f"reasoning effort of the headline numbers: {profile['reasoning_effort']}")
    if profile.get("is_thinking"):
        parts.append("headline numbers with thinking")
    return ", ".join(parts)


def editions(profile: Mapping[str, Any]) -> str:
    """Return in a line which editions of the domains' data it was; empty where that is unknown."""
    found = profile.get("editions") or {}
    listed = ", ".join(f"{domain} ({edition})" for domain, edition in found.items())
    return f"Editions of the data: {listed}" if listed else ""


def missing(profile: Mapping[str, Any]) -> int:
    """Return how many dialogues lack a prediction or an action."""
    return sum(int(profile["statuses"].get(status, 0)) for status in MISSING)


def status_rows(profile: Mapping[str, Any]) -> list[tuple[str, int, str, str]]:
    """Return (status, dialogues, their share, what the status means) for every status."""
    total = profile["n_decisions"]
    found = profile["statuses"]
    names = [*STATUSES, *(name for name in found if name not in STATUSES)]
    return [
        (
            name,
            int(found.get(name, 0)),
            share(found.get(name, 0) / total if total else None),
            STATUS_WORDS.get(name, ""),
        )
        for name in names
    ]


def status_warnings(profile: Mapping[str, Any]) -> list[str]:
    """Return what has to be known about the statuses before any number is read."""
    n_total = profile["n_decisions"]
    n_forced = int(profile["statuses"].get("forced", 0))
    n_missing = missing(profile)
    said = []
    if not n_total:
        said.append("There is not one dialogue of this model here.")
    if n_forced:
        said.append(
            f"{count(n_forced)} of {count(n_total)} dialogues were closed for the model: it "
            "ended without the marker asked for, so the force_answer option supplied the marker "
            "and the model filled in its choice only. The study's protocol has this option "
            "off; do not compare these numbers with published ones."
        )
    if n_missing:
        said.append(
            f"{count(n_missing)} of {count(n_total)} dialogues have no readable prediction or "
            "action. They are kept, and stay out of the rates below."
        )
    return said


def headline(profile: Mapping[str, Any], cost_ratio: float = 4.0) -> str:
    """Return the one or two sentences that a reader in a hurry should take away."""
    return f"{_threshold_headline(profile, cost_ratio)} {_bias_words(profile)}".strip()


def _threshold_headline(profile: Mapping[str, Any], cost_ratio: float) -> str:
    fit = _fit(profile, "linear")
    target = best_threshold(profile, cost_ratio)
    best = f"at R = {ratio(cost_ratio)} it should be {share(target, 0)}"
    if fit["estimate"] is None or fit.get("status") == "unidentified":
        why = _unidentified_words(profile, fit)
        return f"No threshold can be read off: {why}. {_mean_words(profile)}"
    if fit.get("status") == "extrapolated":
        return (
            f"{_mean_words(profile)} The accuracy at which it would escalate half of the time lies "
            f"outside of what was observed ({share(fit['estimate'], 0)}, an extrapolation); {best}."
        )
    start = f"It escalates half of the time at an accuracy of {share(fit['estimate'])}; {best}."
    low, high = fit.get("low"), fit.get("high")
    if low is None or high is None:
        return f"{start} There is no interval, so whether the two differ is open."
    if low <= target <= high:
        return f"{start} The interval {span(fit)} holds both, so no difference is shown."
    if high < target:
        return f"{start} It acts on its own where it should still ask."
    return f"{start} It asks where it could already act on its own."


def _unidentified_words(profile: Mapping[str, Any], fit: Mapping[str, Any]) -> str:
    slope = fit.get("slope")
    if slope is None:
        n_points = len(_points(profile))
        if n_points < 2:
            return (
                f"it takes two conditions with usable dialogues at least, and there is {n_points}"
            )
        return "its accuracy is the same in all conditions"
    if slope >= 0:
        return "the model does not escalate less as it becomes more accurate"
    return (
        "the model seems to escalate less as it becomes more accurate, but too unclearly: the "
        "interval of the slope includes zero"
    )


def _points(profile: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in profile["curve"] if row["predictive_accuracy"] is not None and row["n"]]


def _mean_words(profile: Mapping[str, Any]) -> str:
    rows = [row for row in _points(profile) if row["escalation_rate"] is not None]
    total = sum(row["n"] for row in rows)
    if not total:
        return ""
    rate = sum(row["n"] * row["escalation_rate"] for row in rows) / total
    return f"It escalates {share(rate, 0)} of the baseline's dialogues."


def _bias_words(profile: Mapping[str, Any]) -> str:
    bias = profile.get("calibration_bias") or {}
    value, low, high = (bias.get(key) for key in ("estimate", "low", "high"))
    if value is None:
        return ""
    if low is None or high is None:
        return f"Its idea of its own accuracy is off by {points(value)} (no interval)."
    if low > 0:
        return f"It is over-confident: it acts as if it were {_gap(value)} more accurate."
    if high < 0:
        return f"It is under-confident: it acts as if it were {_gap(value)} less accurate."
    return "Neither over- nor under-confidence is shown: the interval of the bias includes zero."


def _gap(value: float) -> str:
    return points(abs(value)).removeprefix("+")


def _fit(profile: Mapping[str, Any], kind: str) -> dict[str, Any]:
    fit = (profile.get("implicit_threshold") or {}).get(kind) or {}
    return {"estimate": None, "slope": None, "status": "unidentified", **fit}


def _threshold_finding(profile: Mapping[str, Any], kind: str) -> Finding:
    fit = _fit(profile, kind)
    title = f"Implicit threshold p*, {kind} fit"
    status = fit["status"]
    if fit["estimate"] is None or status == "unidentified":
        # Whatever number the fit gives is where a flat or rising line crosses one half: it is
        # not the accuracy from which the model acts, so it is not shown.
        words = f"Unidentified: {_unidentified_words(profile, fit)}; no threshold can be read off."
        return Finding(title, DASH, words, flag="unidentified")
    if status == "extrapolated":
        seen = [row["predictive_accuracy"] for row in _points(profile)]
        where = f"{share(min(seen), 0)} to {share(max(seen), 0)}" if seen else "none"
        words = (
            f"Extrapolated: the observed accuracies are {where}, and the line crosses one half "
            "outside of them. Read it as a direction, not as a value."
        )
        return _finding(title, fit, words, "", flag="extrapolated", n_missing=missing(profile))
    words = "The accuracy at which it escalates half of the time; above it mostly acts."
    return _finding(title, fit, words, "", n_missing=missing(profile))


def _adaptive_finding(profile: Mapping[str, Any]) -> list[Finding]:
    """Return the threshold of an adaptive design, with what ended it; nothing for a fixed one."""
    design = profile.get("design")
    if not design:
        return []
    found = _threshold_finding(profile, "adaptive")
    held = f"{design['n_dialogues']:,} dialogues in {design['n_rounds']} rounds"
    ended = {
        "precision": f"until the interval was ± {points(design['precision']).lstrip('+')} wide",
        "budget": "until the budget was used up",
    }.get(design["stopped_by"], "until there were no more scenarios")
    words = f"{found.words} {held}, {ended}."
    return [replace(found, title="Implicit threshold p*, adaptive", words=words)]


def findings(profile: Mapping[str, Any], cost_ratio: float = 4.0) -> list[Finding]:
    """Return the numbers that describe the model as a whole, in the order to read them.

    They are predictive accuracy, implicit threshold (linear, logit), optimal threshold,
    self-estimated accuracy and calibration bias.

    Parameters
    ----------
    profile : mapping
        The document of ``escalometer profile --json``.
    cost_ratio : float
        R that the optimal threshold is stated for.
    """
    n_missing = missing(profile)
    own = profile.get("self_estimated_accuracy")
    n_clipped = (own or {}).get("n_clipped") or 0
    clipped = (
        f" In {n_clipped} conditions taken alone it left 0–100 % and was clipped."
        if n_clipped
        else ""
    )
    optimal = share(best_threshold(profile, cost_ratio), 0)
    human = profile.get("human_error_rate") or 0
    erring = f" and the person errs in {share(human)} of cases" if human else ""
    return [
        _finding(
            "Predictive accuracy",
            profile.get("predictive_accuracy"),
            "How often its prediction matches what the person decided.",
            "Undefined: no dialogue has a readable prediction.",
            n_missing=n_missing,
        ),
        *_adaptive_finding(profile),
        _threshold_finding(profile, "linear"),
        _threshold_finding(profile, "logit"),
        Finding(
            f"Optimal threshold τ* at R = {ratio(cost_ratio)}",
            optimal,
            f"What is best if a wrong action costs {ratio(cost_ratio)} times an escalation{erring}"
            f": escalate where the accuracy is below {optimal}.",
        ),
        _finding(
            "Self-estimated accuracy",
            own,
            f"The accuracy it acts as if it had when no signal tells it.{clipped}",
            "Undefined: it needs the no_signal intervention and a threshold that is identified.",
            n_missing=n_missing,
        ),
        _finding(
            "Calibration bias",
            profile.get("calibration_bias"),
            _bias_words(profile),
            "Undefined: it needs the self-estimated accuracy.",
            unit="points",
            n_missing=n_missing,
        ),
    ]
