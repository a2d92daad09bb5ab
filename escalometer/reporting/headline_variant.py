"""The protocol variant that headlines describe: the baseline, or what was asked in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from escalometer.documents import Fit, Profile, Variant
from escalometer.documents.profile import CurvePoint, InterventionScores, VariantCurve
from escalometer.documents.variant import VARIANT_KEY
from escalometer.documents.wording import DASH, ratio, share
from escalometer.reporting.variants import label


@dataclass(frozen=True)
class HeadlineVariant:
    """The protocol variant that headlines, summary and figure are about.

    Attributes
    ----------
    name : str
        The variant in words.
    points : sequence of CurvePoint
        Its escalation curve.
    fit : Fit or None
        Its implicit threshold: that of the adaptive design where scenarios were drawn adaptively,
        else the linear fit; None without a signal.
    key : Variant, optional
        The variant; None for the baseline, whose effort the profile has.
    """

    name: str
    points: Sequence[CurvePoint]
    fit: Fit | None
    key: Variant | None = None

    @property
    def is_baseline(self) -> bool:
        """True if the profile's headline numbers are those of this variant."""
        return self.key is None

    @property
    def is_identified(self) -> bool:
        """True if there is a threshold, extrapolated or not."""
        fit = self.fit
        return fit is not None and fit.estimate is not None and fit.status != "unidentified"

    @property
    def mean_accuracy(self) -> str:
        """The mean over conditions of the predictive accuracy, as per cent without an interval."""
        accuracies = [point.predictive_accuracy for point in self.points if point.is_main]
        return share(sum(accuracies) / len(accuracies)) if accuracies else DASH

    def covers(self, row: InterventionScores, profile: Profile) -> bool:
        """Return True if the scores are those of this variant."""
        if self.key is not None:
            return row.variant == self.key
        return (
            row.intervention == "baseline"
            and row.reasoning_effort == profile.reasoning_effort
            and not row.is_isolated
        )

    def asked(self, row: Mapping[str, Any]) -> bool:
        """Return True if a row of counted dialogues is about this variant."""
        if self.key is None:
            return bool(row["intervention"] == "baseline")
        return dict(self.key).items() <= row.items()


def headline_variant(profile: Profile, cost_ratio: float) -> HeadlineVariant:
    """Return the baseline, or the variant with a signal to describe where no baseline was asked.

    Of several, one whose prompt states `cost_ratio` comes first, then one that states no cost.
    """
    arms = [arm for arm in profile.arms if arm.has_signal and arm.points]
    if profile.curve or not arms:
        thresholds = profile.implicit_threshold
        return HeadlineVariant(
            "baseline", profile.curve, thresholds.adaptive or thresholds.linear, key=None
        )

    def preference(arm: VariantCurve) -> tuple[bool, bool, bool]:
        return (arm.is_isolated, arm.cost_ratio != cost_ratio, arm.cost_ratio is not None)

    arm = min(arms, key=preference)
    key = Variant(**{name: getattr(arm, name) for name in VARIANT_KEY})
    is_other = arm.cost_ratio not in (None, cost_ratio)
    name = f"{label(arm)}, stated R = {ratio(arm.cost_ratio)}" if is_other else label(arm)
    return HeadlineVariant(name, arm.points, arm.implicit_threshold, key)
