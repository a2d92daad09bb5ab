"""Fits and intervals that SQL cannot do: resamples of counts, corrected lines and logits.

A condition is a row of four counts (see `outcome_counts`), so that a resample of it is one
multinomial draw and no dialogue is ever copied. Three resamplings answer three questions: dialogues
within conditions, "what of these conditions?"; whole conditions, "what beyond them?"; whole
scenarios, "what if dialogues about one scenario go together?".
"""

from escalometer.stats.fits import FLAT, crossing, fit_lines, fit_logits
from escalometer.stats.interval_ends import MIN_DEFINED, percentiles, t_ends
from escalometer.stats.intervals import (
    NO_INTERVAL,
    Interval,
    Resamples,
    Statistic,
    generator,
    interval,
    part,
    plain,
)
from escalometer.stats.resamples import (
    N_GROUPS,
    RIGHT_ESCALATED,
    RIGHT_IMPLEMENTED,
    WRONG_ESCALATED,
    WRONG_IMPLEMENTED,
    Counts,
    Floats,
    escalation_rates,
    leave_scenarios_out,
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
    calibration_bias_interval,
    fit,
    self_estimate_interval,
    self_estimates,
    threshold,
    threshold_fit,
    weighted_mean,
)

__all__ = [
    "FLAT",
    "MIN_DEFINED",
    "NO_INTERVAL",
    "N_GROUPS",
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
    "calibration_bias_interval",
    "crossing",
    "escalation_rates",
    "fit",
    "fit_lines",
    "fit_logits",
    "generator",
    "interval",
    "leave_scenarios_out",
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
    "self_estimate_interval",
    "self_estimates",
    "t_ends",
    "threshold",
    "threshold_fit",
    "weighted_mean",
]
