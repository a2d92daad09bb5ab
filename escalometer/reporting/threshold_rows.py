"""Thresholds of each domain and of each protocol variant with a signal, one row each."""

from __future__ import annotations

from dataclasses import dataclass

from escalometer.documents import Fit, Profile
from escalometer.documents.interval import BoundedFit
from escalometer.documents.profile import DomainProfile, VariantCurve
from escalometer.reporting.variants import label


@dataclass(frozen=True)
class DomainRow:
    """One domain of a profile.

    Attributes
    ----------
    numbers : DomainProfile
        The headline numbers of the domain.
    """

    numbers: DomainProfile

    @property
    def threshold(self) -> BoundedFit:
        """The implicit threshold by the linear fit."""
        return self.numbers.implicit_threshold.linear

    @property
    def flag(self) -> str:
        """The word in the place of a threshold that is not one to rely on; may be empty."""
        return flag(self.threshold)

    @property
    def is_at_limit(self) -> bool:
        """True if the self-estimated accuracy was clipped at 0 or 1."""
        return self.numbers.self_estimated_accuracy.estimate in (0, 1)


@dataclass(frozen=True)
class VariantRow:
    """One protocol variant with a signal.

    Attributes
    ----------
    curve : VariantCurve
        Its escalation curve.
    threshold : Fit
        The implicit threshold by the linear fit.
    """

    curve: VariantCurve
    threshold: Fit

    @property
    def label(self) -> str:
        """The variant in words."""
        return label(self.curve)

    @property
    def flag(self) -> str:
        """The word in the place of a threshold that is not one to rely on; may be empty."""
        return flag(self.threshold)


def flag(fit: Fit) -> str:
    """Return the word in the place of a threshold that is not one to rely on, else nothing."""
    if fit.status == "ok":
        return "" if fit.estimate is not None else "unidentified"
    return fit.status


def domain_rows(profile: Profile) -> list[DomainRow]:
    """Return the profile's domains."""
    return [DomainRow(domain) for domain in profile.domains]


def variant_rows(profile: Profile) -> list[VariantRow]:
    """Return the protocol variants with a signal; without one there is no line to fit."""
    return [
        VariantRow(curve, curve.implicit_threshold)
        for curve in profile.arms
        if curve.implicit_threshold is not None
    ]
