"""Headline numbers of a model, over all main domains or in one: accuracy, threshold, bias."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from escalometer import stats
from escalometer.analysis import Row, Tables
from escalometer.analysis.bounds import bounded, with_bounds
from escalometer.analysis.measure import Measured, condition_counts
from escalometer.documents.interval import BoundedFit, LogitFit, SelfEstimate
from escalometer.documents.profile import HeadlineNumbers, Thresholds
from escalometer.stats import Counts, Fit, Floats, Interval, Resamples


class Headlines:
    """A model's headline numbers, at one reasoning effort, over some domains.

    Parameters
    ----------
    measured : Measured
    model : str
    effort : str or None
    is_thinking : bool
        Which of the baselines is meant.
    domain : str, optional
        This domain alone; by default all main domains together.
    """

    def __init__(
        self,
        measured: Measured,
        model: str,
        effort: str | None,
        is_thinking: bool,
        domain: str | None = None,
    ) -> None:
        self.measured, self.model, self.domain = measured, model, domain
        self.effort, self.is_thinking = effort, is_thinking
        with_signal = measured.places(lambda row: self._counts(row, "baseline", True, domain))
        without = measured.places(lambda row: self._counts(row, "no_signal", False, domain))
        # A domain's accuracy is self-estimated by the line of all main domains, as in the paper.
        line = measured.places(lambda row: self._counts(row, "baseline", True, None))
        self.rows = [measured.curve[i] for i in with_signal]
        self.signalled: Resamples = measured.resamples.take(with_signal)
        asked = {measured.resamples.conditions[i] for i in without}
        matched = [i for i in with_signal if measured.resamples.conditions[i] in asked]
        self._blocks = measured.resamples.take([*line, *without, *matched])
        self._n_line, self._n_without = len(line), len(without)

    def _counts(self, row: Row, intervention: str, has_signal: bool, domain: str | None) -> bool:
        """Return whether a row of the curve counts towards these headline numbers."""
        return (
            row["model"] == self.model
            and row["intervention"] == intervention
            and row["has_signal"] == has_signal
            and not row["is_isolated"]
            and row["cost_ratio"] is None
            and row["reasoning_effort"] == self.effort
            and bool(row["is_thinking"]) == self.is_thinking
            and (
                row["domain"] not in self.measured.side_domains
                if domain is None
                else row["domain"] == domain
            )
        )

    def _summary(self, tables: Tables) -> Row | None:
        return next(
            (
                row
                for row in tables["self_estimate_summary"].to_pylist()
                if row["model"] == self.model
                and row["reasoning_effort"] == self.effort
                and bool(row["is_thinking"]) == self.is_thinking
                and row["domain"] == self.domain
            ),
            None,
        )

    def on(self, domain: str) -> Headlines:
        """Return the same model's headline numbers on one domain."""
        headlines = Headlines(self.measured, self.model, self.effort, self.is_thinking, domain)
        headlines.__dict__["line"] = self.line  # it is the same, and takes a while
        return headlines

    @cached_property
    def line(self) -> Fit:
        """The linear fit over all main domains' conditions with a signal."""
        return stats.threshold_fit("linear", self._blocks.take(range(self._n_line)))

    def numbers(self) -> HeadlineNumbers:
        """Return accuracy, both thresholds, self-estimated accuracy and both biases."""
        linear = self.line if self.domain is None else stats.threshold_fit("linear", self.signalled)
        logit = stats.threshold_fit("logit", self.signalled)
        points = [self.points(tables) for tables in self.measured.completed]
        completed = {name: [found[name] for found in points] for name in _NAMES}
        estimates, n_clipped = self._self_estimates(self.line["status"] != "unidentified")
        self_estimate = estimates["self_estimated_accuracy"]
        return HeadlineNumbers(
            predictive_accuracy=bounded(
                self.signalled.interval(mean_accuracy), completed["predictive_accuracy"]
            ),
            implicit_threshold=Thresholds(
                linear=BoundedFit.model_validate(with_bounds(linear, completed["linear"])),
                logit=LogitFit.model_validate(with_bounds(logit, completed["logit"])),
            ),
            self_estimated_accuracy=SelfEstimate.model_validate(
                {
                    **with_bounds(self_estimate, completed["self_estimated_accuracy"]),
                    "n_clipped": n_clipped,
                }
            ),
            calibration_bias=bounded(estimates["calibration_bias"], completed["calibration_bias"]),
            calibration_bias_signalled=bounded(
                estimates["calibration_bias_signalled"], completed["calibration_bias_signalled"]
            ),
        )

    def _self_estimates(self, is_identified: bool) -> tuple[dict[str, Interval], int]:
        """Return the intervals of `_SELF_ESTIMATES`, and how many conditions were clipped."""
        n_line, n_without = self._n_line, self._n_without
        read = stats.self_estimates(n_line)
        without, with_signal = slice(n_line, n_line + n_without), slice(n_line + n_without, None)

        def self_estimate(counts: Counts, weight: Floats) -> Floats:
            return read(counts[:, : n_line + n_without], weight[:, : n_line + n_without])

        def bias(counts: Counts, weight: Floats) -> Floats:
            accuracy = mean_accuracy(counts[:, without], weight[:, without])
            return self_estimate(counts, weight) - accuracy

        def signalled_bias(counts: Counts, weight: Floats) -> Floats:
            accuracy = mean_accuracy(counts[:, with_signal], weight[:, with_signal])
            return self_estimate(counts, weight) - accuracy

        # Through a line that may as well rise there is no accuracy to read off.
        summary = (self._summary(self.measured.tables) or {}) if is_identified else {}
        intervals = {}
        for name, statistic in zip(
            _SELF_ESTIMATES, (self_estimate, bias, signalled_bias), strict=True
        ):
            value = summary.get(name)
            intervals[name] = (
                dict(stats.NO_INTERVAL)
                if value is None
                else self._blocks.interval(statistic, value, n_conditions=n_without)
            )
        return intervals, summary.get("n_clipped", 0)

    def points(self, tables: Tables) -> dict[str, float | None]:
        """Return the headline numbers of one set of metric tables, without intervals."""
        line, read = self._line(tables, self.domain), self._line(tables, None)
        falls, is_read = (row["slope"] is not None and row["slope"] < 0 for row in (line, read))
        summary = self._summary(tables) or {}
        rows = [
            row
            for row in tables["escalation_curve"].to_pylist()
            if self._counts(row, "baseline", True, self.domain)
        ]
        logit = None
        if rows:
            counts, ones = condition_counts(rows), np.ones((1, len(rows)))
            logit = stats.plain(stats.threshold("logit")(counts[None], ones)[0])
        return {
            "predictive_accuracy": line["predictive_accuracy"],
            "linear": line["implicit_threshold"] if falls else None,
            "logit": logit,
            **{name: summary.get(name) if is_read else None for name in _SELF_ESTIMATES},
        }

    def _line(self, tables: Tables, domain: str | None) -> Mapping[str, Any]:
        for row in tables["implicit_threshold"].to_pylist():
            if (
                row["model"] == self.model
                and row["domain"] == domain
                and row["intervention"] == "baseline"
                and row["reasoning_effort"] == self.effort
                and bool(row["is_thinking"]) == self.is_thinking
                and not row["is_isolated"]
                and row["cost_ratio"] is None
            ):
                return dict(row)
        return dict.fromkeys(("predictive_accuracy", "implicit_threshold", "slope"))


_SELF_ESTIMATES = ("self_estimated_accuracy", "calibration_bias", "calibration_bias_signalled")
#: Headline numbers that have bounds for missing answers.
_NAMES = ("predictive_accuracy", "linear", "logit", *_SELF_ESTIMATES)


def mean_accuracy(counts: Counts, weight: Floats) -> Floats:
    """Return the mean over conditions of the share that is predicted right; a `Statistic`."""
    return stats.weighted_mean(stats.predictive_accuracies(counts), weight)


def mean_rate(counts: Counts, weight: Floats) -> Floats:
    """Return the mean over conditions of the escalation rate; a `Statistic`."""
    return stats.weighted_mean(stats.escalation_rates(counts), weight)
