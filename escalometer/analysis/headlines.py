"""Headline numbers of a model, over all main domains or in one: accuracy, threshold, bias."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from escalometer import stats
from escalometer.analysis import Row, Tables, condition_key
from escalometer.analysis.bounds import bounded, with_bounds
from escalometer.analysis.measure import Measured, condition_counts
from escalometer.documents.interval import BoundedFit, SelfEstimate, StudyLine
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

    def _summary(self) -> Row | None:
        """Return what the metric tables read off the study's plain line."""
        return next(
            (
                row
                for row in self.measured.tables["self_estimate_summary"].to_pylist()
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
        """Return accuracy, the thresholds, self-estimated accuracy and both biases."""
        linear = self.line if self.domain is None else stats.threshold_fit("linear", self.signalled)
        logit, study_line = (
            stats.threshold_fit(kind, self.signalled) for kind in ("logit", "study_line")
        )
        points = [self.points(tables) for tables in self.measured.completed]
        completed = {name: [found[name] for found in points] for name in _NAMES}
        estimates, n_clipped = self._self_estimates(self.line["status"] != "unidentified")
        self_estimate = estimates["self_estimated_accuracy"]
        by_study_line = (self._summary() or {}).get("self_estimated_accuracy")
        return HeadlineNumbers(
            predictive_accuracy=bounded(
                self.signalled.interval(mean_accuracy), completed["predictive_accuracy"]
            ),
            implicit_threshold=Thresholds(
                linear=BoundedFit.model_validate(with_bounds(linear, completed["linear"])),
                logit=BoundedFit.model_validate(with_bounds(logit, completed["logit"])),
                study_line=StudyLine.model_validate(
                    {
                        **with_bounds(study_line, completed["study_line"]),
                        "self_estimated_accuracy": by_study_line,
                    }
                ),
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
        # Off a line that may as well rise there is no accuracy to read.
        if not is_identified or not n_without:
            return {name: dict(stats.NO_INTERVAL) for name in _SELF_ESTIMATES}, 0
        without, with_signal = slice(n_line, n_line + n_without), slice(n_line + n_without, None)
        read = self._blocks.take(range(n_line + n_without))

        def unsignalled_accuracy(counts: Counts, weight: Floats) -> Floats:
            return mean_accuracy(counts[:, without], weight[:, without])

        def signalled_accuracy(counts: Counts, weight: Floats) -> Floats:
            return mean_accuracy(counts[:, with_signal], weight[:, with_signal])

        slope, intercept = (float(str(self.line[name])) for name in ("slope", "intercept"))
        rates = stats.escalation_rates(self._blocks.counts[without])
        unclipped = stats.crossing(np.full(n_without, slope), np.full(n_without, intercept), rates)
        intervals = {
            "self_estimated_accuracy": stats.self_estimate_interval(n_line, read),
            "calibration_bias": stats.calibration_bias_interval(n_line, read, unsignalled_accuracy),
            "calibration_bias_signalled": dict(stats.NO_INTERVAL),
        }
        if len(self._blocks.counts) > n_line + n_without:
            intervals["calibration_bias_signalled"] = stats.calibration_bias_interval(
                n_line, self._blocks, signalled_accuracy, n_line + n_without
            )
        return intervals, int(((unclipped < 0) | (unclipped > 1)).sum())

    def points(self, tables: Tables) -> dict[str, float | None]:
        """Return the headline numbers of one set of metric tables, without intervals."""
        curve = tables["escalation_curve"].to_pylist()

        def rows(intervention: str, has_signal: bool, domain: str | None) -> list[Row]:
            return [row for row in curve if self._counts(row, intervention, has_signal, domain)]

        own_rows, without_rows = (
            rows("baseline", True, self.domain),
            rows("no_signal", False, self.domain),
        )
        asked = {condition_key(row) for row in without_rows}
        matched = [row for row in own_rows if condition_key(row) in asked]
        own, line, without = (
            condition_counts(part)
            for part in (own_rows, rows("baseline", True, None), without_rows)
        )
        found: dict[str, float | None] = dict.fromkeys(_NAMES)
        if len(own):
            found["predictive_accuracy"] = _value(mean_accuracy, own)
            kinds: tuple[stats.Kind, ...] = ("linear", "logit", "study_line")
            found |= {kind: _value(stats.threshold(kind), own) for kind in kinds}
        if len(line) and len(without):
            together = np.concatenate([line, without])
            estimate = _value(stats.self_estimates(len(line)), together)
            found["self_estimated_accuracy"] = estimate
            accuracies = {
                "calibration_bias": _value(mean_accuracy, without),
                "calibration_bias_signalled": _value(mean_accuracy, condition_counts(matched))
                if matched
                else None,
            }
            for name, accuracy in accuracies.items():
                if estimate is not None and accuracy is not None:
                    found[name] = estimate - accuracy
        return found


_SELF_ESTIMATES = ("self_estimated_accuracy", "calibration_bias", "calibration_bias_signalled")
#: Headline numbers that have bounds for missing answers.
_NAMES = ("predictive_accuracy", "linear", "logit", "study_line", *_SELF_ESTIMATES)


def _value(statistic: stats.Statistic, counts: Counts) -> float | None:
    return stats.plain(statistic(counts[None], np.ones((1, len(counts))))[0])


def mean_accuracy(counts: Counts, weight: Floats) -> Floats:
    """Return the mean over conditions of the share that is predicted right; a `Statistic`."""
    return stats.weighted_mean(stats.predictive_accuracies(counts), weight)


def mean_rate(counts: Counts, weight: Floats) -> Floats:
    """Return the mean over conditions of the escalation rate; a `Statistic`."""
    return stats.weighted_mean(stats.escalation_rates(counts), weight)
