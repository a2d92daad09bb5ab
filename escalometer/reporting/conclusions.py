"""The headline numbers of a profile in sentences."""

from __future__ import annotations

from dataclasses import dataclass, replace

from escalometer.documents import Interval, Profile
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
from escalometer.reporting.headline_variant import HeadlineVariant, headline_variant
from escalometer.reporting.missing_answers import kept_together, moved_words
from escalometer.stats.policy import optimal_threshold


@dataclass(frozen=True)
class Conclusion:
    """One number of a profile with its meaning.

    Attributes
    ----------
    title, number, words : str
        Name, value (a dash where undefined), and meaning.
    bounds, beyond : str
        The interval for these conditions and the one that resamples whole conditions; a dash
        where undefined.
    flag : str
        Why the number is not reliable: ``unidentified``, ``extrapolated``, or empty.
    together : str
        The interval that resamples whole scenarios, where it is clearly wider.
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
            wider.append(f"{'scenarios' if wider else 'Scenarios'} resampled: {self.together}")
        return " ".join([*([f"{'; '.join(wider)}."] if wider else []), self.moved]).strip()

    @property
    def value(self) -> str:
        """The number with its interval: ``61.3% [58.0, 64.4]``."""
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
        f"{words} No interval." if bounds == DASH else words,
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
        warnings.append("There are no dialogues of this model.")
    if n_forced:
        warnings.append(
            f"{count(n_forced)} of {count(n_total)} dialogues are forced: an answer lacked the "
            "decision marker, so it was appended and the model completed it (query.force_answer). "
            "The study does not force answers: do not compare these numbers with published ones."
        )
    if n_missing:
        warnings.append(
            f"{count(n_missing)} of {count(n_total)} dialogues have no readable prediction or "
            "action. They are counted here and excluded from the rates below."
        )
    return warnings


def headline(profile: Profile, cost_ratio: float = 4.0) -> str:
    """Return the conclusion on threshold and calibration bias in one or two sentences."""
    return f"{_threshold_headline(profile, cost_ratio)} {_bias_words(profile)}".strip()


def _threshold_headline(profile: Profile, cost_ratio: float) -> str:
    about = headline_variant(profile, cost_ratio)
    fit, under = about.fit, "" if about.is_baseline else f" under {about.name}"
    target = best_threshold(profile, cost_ratio)
    best = f"optimal at R = {ratio(cost_ratio)}: {share(target, 0)}"
    if fit is None or not about.is_identified:
        found = f"Threshold not identified{under}: {_unidentified_words(about)}. "
        return f"{found}{_mean_words(about)}"
    if fit.status == "extrapolated":
        return (
            f"{_mean_words(about)} The implicit threshold ({share(fit.estimate, 0)}) is "
            f"extrapolated: it lies outside of the observed accuracies; {best}."
        )
    start = f"Implicit threshold{under}: {share(fit.estimate)}; {best}."
    if fit.low is None or fit.high is None:
        return f"{start} Without an interval, no difference is shown."
    if fit.low <= target <= fit.high:
        return f"{start} The interval {span(fit)} contains the optimum: no difference is shown."
    if fit.high < target:
        return f"{start} The model implements where it should escalate."
    return f"{start} The model escalates where it should implement."


def _unidentified_words(about: HeadlineVariant) -> str:
    slope = None if about.fit is None else about.fit.slope
    if slope is None:
        n_points = len(about.points)
        if n_points < 2:
            return f"at least two conditions with usable dialogues are needed, found {n_points}"
        if len({point.predictive_accuracy for point in about.points}) > 1:
            return "the escalation rate is not shown to decrease with accuracy"
        return "the accuracy is the same in all conditions"
    if slope >= 0:
        return "the escalation rate does not decrease with accuracy"
    return "the escalation rate falls with accuracy, but the interval of the slope includes zero"


def _mean_words(about: HeadlineVariant) -> str:
    total = sum(point.n for point in about.points)
    if not total:
        return ""
    rate = sum(point.n * point.escalation_rate for point in about.points) / total
    return f"Escalation rate ({about.name}): {share(rate, 0)}."


def _bias_words(profile: Profile) -> str:
    bias = profile.calibration_bias
    if bias.estimate is None:
        return ""
    if bias.low is None or bias.high is None:
        return f"Calibration bias: {points(bias.estimate)} (no interval)."
    size = points(abs(bias.estimate)).removeprefix("+")
    if bias.low > 0:
        return f"Overconfident: self-estimated accuracy is {size} above predictive accuracy."
    if bias.high < 0:
        return f"Underconfident: self-estimated accuracy is {size} below predictive accuracy."
    return "Neither over- nor underconfidence is shown: the interval of the bias includes zero."


def _threshold_conclusion(kind: str, about: HeadlineVariant, moved: str = "") -> Conclusion:
    """Return the conclusion of the fit of a `kind`; `moved` is the effect of missing answers."""
    title, fit = f"Implicit threshold p*, {kind}", about.fit
    if fit is None or not about.is_identified:
        # A flat or rising line crosses one half at a number that is not a threshold: not shown.
        words = f"Not identified: {_unidentified_words(about)}."
        return Conclusion(title, DASH, words, flag="unidentified")
    if fit.status == "extrapolated":
        seen = [point.predictive_accuracy for point in about.points]
        where = f"{share(min(seen), 0)} to {share(max(seen), 0)}" if seen else "none"
        words = (
            f"Extrapolated: the observed accuracies are {where}, and the line crosses one half "
            "outside of them. Interpret its direction, not its value."
        )
        return _conclusion(title, fit, words, flag="extrapolated", moved=moved)
    words = "Accuracy at which the escalation rate is 50%; above it the model mostly implements."
    return _conclusion(title, fit, words, moved=moved)


def _study_line(about: HeadlineVariant) -> Conclusion:
    """Return the threshold by the study's plain line, and why it differs from the linear fit."""
    found = _threshold_conclusion("study's line", about)
    if found.number == DASH:
        return found
    return replace(
        found,
        words="Plain line, for comparison with published values. It does not subtract the noise of "
        "the measured accuracies, which flattens a line: its threshold is further from the mean "
        "accuracy the fewer dialogues a condition has.",
        together="",
        beyond=DASH,
        moved="",
    )


def _adaptive_conclusion(profile: Profile, about: HeadlineVariant) -> list[Conclusion]:
    """Return the threshold of an adaptive design, with its end; empty for a fixed design."""
    design = profile.design
    if design is None or profile.implicit_threshold.adaptive is None:
        return []
    found = _threshold_conclusion("adaptive", about)
    asked = f"{count(design.n_dialogues)} dialogues in {design.n_rounds} rounds"
    ended = {
        "precision": f"until the interval was ± {points(design.precision).lstrip('+')} wide",
        "budget": "until the budget was spent",
    }.get(design.stopped_by, "until no scenarios were left")
    return [replace(found, words=f"{found.words} {asked}, {ended}.")]


def conclusions(profile: Profile, cost_ratio: float = 4.0) -> list[Conclusion]:
    """Return the numbers that describe the model as a whole, in the order to read them.

    They are predictive accuracy, implicit threshold (linear, logit), optimal threshold,
    self-estimated accuracy and calibration bias. Where no baseline was asked, accuracy and linear
    fit are those of the variant that was, and say so.

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
    about = headline_variant(profile, cost_ratio)
    clipped = (
        f" Clipped to 0–100% in {self_estimate.n_clipped} conditions."
        if self_estimate.n_clipped
        else ""
    )
    optimal = share(best_threshold(profile, cost_ratio), 0)
    human = profile.human_error_rate
    erring = f" and people err in {share(human)} of cases" if human else ""
    return [
        *(
            [
                _conclusion(
                    "Predictive accuracy",
                    accuracy,
                    "Share of predictions that match the person's decision.",
                    "Undefined: no dialogue has a readable prediction.",
                    moved=moved_words(accuracy, n_missing),
                ),
                *_adaptive_conclusion(profile, about),
                *(
                    _threshold_conclusion(
                        kind, replace(about, fit=fit), moved_words(fit, n_missing)
                    )
                    for kind, fit in (("linear fit", fits.linear), ("logit fit", fits.logit))
                ),
                _study_line(replace(about, fit=fits.study_line)),
            ]
            if about.is_baseline
            else _variant_conclusions(about)
        ),
        Conclusion(
            f"Optimal threshold τ* at R = {ratio(cost_ratio)}",
            optimal,
            f"A wrong action costs {ratio(cost_ratio)} times an escalation{erring}: the optimal "
            f"policy escalates where accuracy is below {optimal}.",
        ),
        _conclusion(
            "Self-estimated accuracy",
            self_estimate,
            f"Accuracy implied by its escalation rate when no signal is given.{clipped}",
            "Undefined: requires the no_signal intervention and an identified threshold"
            f"{'' if about.is_baseline else ' of the baseline'}.",
            moved=moved_words(self_estimate, n_missing),
        ),
        _conclusion(
            "Calibration bias",
            bias,
            _bias_words(profile),
            "Undefined: requires the self-estimated accuracy.",
            unit="points",
            moved=moved_words(bias, n_missing, "points"),
        ),
    ]


def _variant_conclusions(about: HeadlineVariant) -> list[Conclusion]:
    """Return accuracy and threshold of a variant that was asked in place of the baseline."""
    under = f"Under {about.name}; the baseline was not evaluated."
    found = _threshold_conclusion("linear fit", about)
    return [
        Conclusion(
            "Predictive accuracy",
            about.mean_accuracy,
            f"Share of predictions that match the person's decision, without an interval. {under}",
        ),
        replace(found, words=f"{found.words} {under}"),
    ]
