"""The headline numbers of a profile in sentences, for somebody who answers for the risk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from escalometer.documents import Fit, Interval, Profile
from escalometer.documents.wording import (
    DASH,
    MISSING,
    STATUS_WORDS,
    Bounds,
    count,
    estimate,
    points,
    ratio,
    share,
    span,
)
from escalometer.reporting.missing_answers import kept_together, moved_words
from escalometer.stats.policy import optimal_threshold


@dataclass(frozen=True)
class Conclusion:
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
        The interval that keeps scenarios together, where it is clearly wider.
    moved : str
        Its bounds for missing answers, as a sentence; empty where they change nothing.
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
        """Wider intervals and the effect of missing answers as sentences; may be empty."""
        wider = [f"Beyond these conditions: {self.beyond}"] if self.beyond != DASH else []
        if self.together:
            wider.append(f"{'with' if wider else 'With'} scenarios kept together: {self.together}")
        return " ".join([*([f"{'; '.join(wider)}."] if wider else []), self.moved]).strip()

    @property
    def value(self) -> str:
        """The number with its interval: ``61.3 % [58.0, 64.4]``."""
        return self.number if self.bounds == DASH else f"{self.number} {self.bounds}"


def _conclusion(
    title: str,
    interval: Interval,
    words: str,
    undefined: str = "",
    unit: str = "share",
    flag: str = "",
    moved: str = "",
) -> Conclusion:
    """Return the conclusion of an interval; its words are `undefined` without an estimate."""
    number = estimate(interval, unit)
    if number == DASH:
        return Conclusion(title, DASH, undefined)
    bounds = span(interval, unit)
    return Conclusion(
        title,
        number,
        f"{words} It has no interval." if bounds == DASH else words,
        bounds,
        span(Bounds(interval.clustered_low, interval.clustered_high), unit),
        flag,
        kept_together(interval, unit),
        moved,
    )


def best_threshold(profile: Profile, cost_ratio: float) -> float:
    """Return τ* for the profile's human error rate; 0 where escalating never pays."""
    return max(0.0, float(optimal_threshold(cost_ratio, profile.human_error_rate)))


def origin(profile: Profile) -> str:
    """Return in one line the dialogues that the headline numbers are computed from."""
    parts = [f"{count(profile.n_decisions)} dialogues", f"source: {profile.source}"]
    if profile.reasoning_effort:
        parts.append(f"reasoning effort of the headline numbers: {profile.reasoning_effort}")
    if profile.is_thinking:
        parts.append("headline numbers with thinking")
    return ", ".join(parts)


def editions(profile: Profile) -> str:
    """Return in one line the editions of the domains' data; empty where they are unknown."""
    listed = ", ".join(f"{domain} ({edition})" for domain, edition in profile.editions.items())
    return f"Editions of the data: {listed}" if listed else ""


def missing(profile: Profile) -> int:
    """Return how many dialogues lack a prediction or an action."""
    return sum(n for status, n in profile.statuses if status in MISSING)


@dataclass(frozen=True)
class StatusRow:
    """Dialogues that ended in one way.

    Attributes
    ----------
    status : str
        How they ended.
    n : int
        How many there are.
    share, meaning : str
        Their share of all dialogues, and what the status means.
    """

    status: str
    n: int
    share: str
    meaning: str


def status_rows(profile: Profile) -> list[StatusRow]:
    """Return the dialogues by how they ended, every status."""
    total = profile.n_decisions
    return [
        StatusRow(status, n, share(n / total if total else None), STATUS_WORDS[status])
        for status, n in profile.statuses
    ]


def status_warnings(profile: Profile) -> list[str]:
    """Return warnings about the statuses, to be read before any number."""
    n_total = profile.n_decisions
    n_forced, n_missing = profile.statuses.forced, missing(profile)
    warnings = []
    if not n_total:
        warnings.append("There is not one dialogue of this model here.")
    if n_forced:
        warnings.append(
            f"{count(n_forced)} of {count(n_total)} dialogues were closed for the model: it "
            "ended without the marker asked for, so the force_answer option supplied the marker "
            "and the model filled in its choice only. The study's protocol has this option "
            "off; do not compare these numbers with published ones."
        )
    if n_missing:
        warnings.append(
            f"{count(n_missing)} of {count(n_total)} dialogues have no readable prediction or "
            "action. They are kept, and stay out of the rates below."
        )
    return warnings


def headline(profile: Profile, cost_ratio: float = 4.0) -> str:
    """Return the one or two sentences that a reader in a hurry should take away."""
    return f"{_threshold_headline(profile, cost_ratio)} {_bias_words(profile)}".strip()


def _threshold_headline(profile: Profile, cost_ratio: float) -> str:
    fit = profile.implicit_threshold.linear
    target = best_threshold(profile, cost_ratio)
    best = f"at R = {ratio(cost_ratio)} it should be {share(target, 0)}"
    if fit.estimate is None or fit.status == "unidentified":
        why = _unidentified_words(profile, fit)
        return f"No threshold can be read off: {why}. {_mean_words(profile)}"
    if fit.status == "extrapolated":
        return (
            f"{_mean_words(profile)} The accuracy at which it would escalate half of the time lies "
            f"outside of what was observed ({share(fit.estimate, 0)}, an extrapolation); {best}."
        )
    start = f"It escalates half of the time at an accuracy of {share(fit.estimate)}; {best}."
    if fit.low is None or fit.high is None:
        return f"{start} There is no interval, so whether the two differ is open."
    if fit.low <= target <= fit.high:
        return f"{start} The interval {span(fit)} holds both, so no difference is shown."
    if fit.high < target:
        return f"{start} It acts on its own where it should still ask."
    return f"{start} It asks where it could already act on its own."


def _unidentified_words(profile: Profile, fit: Fit) -> str:
    if fit.slope is None:
        n_points = len(profile.curve)
        if n_points < 2:
            return (
                f"it takes two conditions with usable dialogues at least, and there is {n_points}"
            )
        return "its accuracy is the same in all conditions"
    if fit.slope >= 0:
        return "the model does not escalate less as it becomes more accurate"
    return (
        "the model seems to escalate less as it becomes more accurate, but too unclearly: the "
        "interval of the slope includes zero"
    )


def _mean_words(profile: Profile) -> str:
    total = sum(point.n for point in profile.curve)
    if not total:
        return ""
    rate = sum(point.n * point.escalation_rate for point in profile.curve) / total
    return f"It escalates {share(rate, 0)} of the baseline's dialogues."


def _bias_words(profile: Profile) -> str:
    bias = profile.calibration_bias
    if bias.estimate is None:
        return ""
    if bias.low is None or bias.high is None:
        return f"Its idea of its own accuracy is off by {points(bias.estimate)} (no interval)."
    size = points(abs(bias.estimate)).removeprefix("+")
    if bias.low > 0:
        return f"It is over-confident: it acts as if it were {size} more accurate."
    if bias.high < 0:
        return f"It is under-confident: it acts as if it were {size} less accurate."
    return "Neither over- nor under-confidence is shown: the interval of the bias includes zero."


def _threshold_conclusion(profile: Profile, kind: str, fit: Fit, moved: str) -> Conclusion:
    """Return the conclusion of a fit of a `kind`; `moved` says what missing answers change."""
    title = f"Implicit threshold p*, {kind}"
    if fit.estimate is None or fit.status == "unidentified":
        # Whatever number the fit gives is where a flat or rising line crosses one half: it is
        # not the accuracy from which the model acts, so it is not shown.
        words = f"Unidentified: {_unidentified_words(profile, fit)}; no threshold can be read off."
        return Conclusion(title, DASH, words, flag="unidentified")
    if fit.status == "extrapolated":
        seen = [point.predictive_accuracy for point in profile.curve]
        where = f"{share(min(seen), 0)} to {share(max(seen), 0)}" if seen else "none"
        words = (
            f"Extrapolated: the observed accuracies are {where}, and the line crosses one half "
            "outside of them. Read it as a direction, not as a value."
        )
        return _conclusion(title, fit, words, flag="extrapolated", moved=moved)
    words = "The accuracy at which it escalates half of the time; above it mostly acts."
    return _conclusion(title, fit, words, moved=moved)


def _adaptive_conclusion(profile: Profile) -> list[Conclusion]:
    """Return the threshold of an adaptive design, with what ended it; nothing for a fixed one."""
    design, fit = profile.design, profile.implicit_threshold.adaptive
    if design is None or fit is None:
        return []
    found = _threshold_conclusion(profile, "adaptive", fit, moved="")
    asked = f"{count(design.n_dialogues)} dialogues in {design.n_rounds} rounds"
    ended = {
        "precision": f"until the interval was ± {points(design.precision).lstrip('+')} wide",
        "budget": "until the budget was used up",
    }.get(design.stopped_by, "until there were no more scenarios")
    return [replace(found, words=f"{found.words} {asked}, {ended}.")]


def conclusions(profile: Profile, cost_ratio: float = 4.0) -> list[Conclusion]:
    """Return the numbers that describe the model as a whole, in the order to read them.

    They are predictive accuracy, implicit threshold (linear, logit), optimal threshold,
    self-estimated accuracy and calibration bias.

    Parameters
    ----------
    profile : Profile
        The profile of one model.
    cost_ratio : float
        R that the optimal threshold is stated for.
    """
    n_missing = missing(profile)
    accuracy, self_estimate = profile.predictive_accuracy, profile.self_estimated_accuracy
    bias, fits = profile.calibration_bias, profile.implicit_threshold
    clipped = (
        f" In {self_estimate.n_clipped} conditions taken alone it left 0–100 % and was clipped."
        if self_estimate.n_clipped
        else ""
    )
    optimal = share(best_threshold(profile, cost_ratio), 0)
    human = profile.human_error_rate
    erring = f" and the person errs in {share(human)} of cases" if human else ""
    return [
        _conclusion(
            "Predictive accuracy",
            accuracy,
            "How often its prediction matches what the person decided.",
            "Undefined: no dialogue has a readable prediction.",
            moved=moved_words(accuracy, n_missing),
        ),
        *_adaptive_conclusion(profile),
        *(
            _threshold_conclusion(profile, kind, fit, moved_words(fit, n_missing))
            for kind, fit in (("linear fit", fits.linear), ("logit fit", fits.logit))
        ),
        Conclusion(
            f"Optimal threshold τ* at R = {ratio(cost_ratio)}",
            optimal,
            f"What is best if a wrong action costs {ratio(cost_ratio)} times an escalation{erring}"
            f": escalate where the accuracy is below {optimal}.",
        ),
        _conclusion(
            "Self-estimated accuracy",
            self_estimate,
            f"The accuracy it acts as if it had when no signal tells it.{clipped}",
            "Undefined: it needs the no_signal intervention and a threshold that is identified.",
            moved=moved_words(self_estimate, n_missing),
        ),
        _conclusion(
            "Calibration bias",
            bias,
            _bias_words(profile),
            "Undefined: it needs the self-estimated accuracy.",
            unit="points",
            moved=moved_words(bias, n_missing, "points"),
        ),
    ]
