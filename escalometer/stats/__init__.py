"""Fits and intervals that SQL cannot do: resamples of counts, least squares, logit.

A condition is a row of four counts (see `outcome_counts`), so that a resample of it is one
multinomial draw and no dialogue is ever copied. Three resamplings answer three questions: dialogues
within conditions, "what of these conditions?"; whole conditions, "what beyond them?"; whole
scenarios, "what if dialogues about one scenario go together?".
"""

from escalometer.stats.fits import FLAT, crossing, fit_lines, fit_logits, fit_overdispersed
from escalometer.stats.intervals import (
    MIN_DEFINED,
    NO_INTERVAL,
    Interval,
    Resamples,
    Statistic,
    generator,
    interval,
    part,
    percentiles,
    plain,
)
from escalometer.stats.resamples import (
    RIGHT_ESCALATED,
    RIGHT_IMPLEMENTED,
    WRONG_ESCALATED,
    WRONG_IMPLEMENTED,
    Counts,
    Floats,
    escalation_rates,
    multiplicities,
    outcome_counts,
    predictive_accuracies,
    ratios,
    resample_conditions,
    resample_dialogues,
    resample_scenarios,
)
from escalometer.stats.thresholds import (
    Fit,
    Kind,
    Status,
    fit,
    self_estimates,
    threshold,
    threshold_fit,
    weighted_mean,
)

__all__ = [
    "FLAT",
    "MIN_DEFINED",
    "NO_INTERVAL",
    "RIGHT_ESCALATED",
    "RIGHT_IMPLEMENTED",
    "WRONG_ESCALATED",
    "WRONG_IMPLEMENTED",
    "Counts",
    "Fit",
    "Floats",
    "Interval",
    "Kind",
    "Resamples",
    "Statistic",
    "Status",
    "crossing",
    "escalation_rates",
    "fit",
    "fit_lines",
    "fit_logits",
    "fit_overdispersed",
    "generator",
    "interval",
    "multiplicities",
    "outcome_counts",
    "part",
    "percentiles",
    "plain",
    "predictive_accuracies",
    "ratios",
    "resample_conditions",
    "resample_dialogues",
    "resample_scenarios",
    "self_estimates",
    "threshold",
    "threshold_fit",
    "weighted_mean",
]
