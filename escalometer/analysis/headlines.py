"""What describes a model as a whole, or on one domain: threshold, idea of itself, bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from escalometer import stats
from escalometer.analysis import Row, Tables
from escalometer.analysis.measure import Measured, condition_counts
from escalometer.stats import Counts, Fit, Floats, Interval, Kind, Resamples

KINDS: tuple[Kind, ...] = ("linear", "logit")


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
        with_signal = measured.places(lambda row: self._is_own(row, "baseline", True, domain))
        without = measured.places(lambda row: self._is_own(row, "no_signal", False, domain))
        # A domain's idea of itself is read off the line of all main domains, as in the paper.
        line = measured.places(lambda row: self._is_own(row, "baseline", True, None))
        self.rows = [measured.curve[i] for i in with_signal]
        self.signalled: Resamples = measured.resamples.take(with_signal)
        asked = {measured.resamples.conditions[i] for i in without}
        matched = [i for i in with_signal if measured.resamples.conditions[i] in asked]
        self._own = measured.resamples.take([*line, *without, *matched])
        self._blocks = len(line), len(without)

    def _is_own(self, row: Row, intervention: str, has_signal: bool, domain: str | None) -> bool:
        return (
            row["model"] == self.model
            and row["intervention"] == intervention
            and row["has_signal"] == has_signal
            and not row["is_isolated"]
            and row["cost_ratio"] is None
            and row["reasoning_effort"] == self.effort
            and bool(row["is_thinking"]) == self.is_thinking
            and (
                row["domain"] not in self.measured.side
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
        own = Headlines(self.measured, self.model, self.effort, self.is_thinking, domain)
        own.__dict__["line"] = self.line  # it is the same, and takes a while
        return own

    @cached_property
    def line(self) -> Fit:
        """The linear fit over all main domains' conditions with a signal."""
        return stats.threshold_fit("linear", self._own.take(range(self._blocks[0])))

    def document(self) -> Row:
        """Return accuracy, both thresholds, self-estimated accuracy and both biases."""
        linear = (
            dict(self.line)
            if self.domain is None
            else stats.threshold_fit("linear", self.signalled)
        )
        made: Row = {
            "predictive_accuracy": self.signalled.interval(mean_accuracy),
            "implicit_threshold": {
                "linear": linear,
                "logit": stats.threshold_fit("logit", self.signalled),
            },
            **self._self_estimates(self.line["status"] != "unidentified"),
        }
        self._bound(made)
        return made

    def _self_estimates(self, is_identified: bool) -> Row:
        n_line, n_without = self._blocks
        read = stats.self_estimates(n_line)
        without, with_signal = slice(n_line, n_line + n_without), slice(n_line + n_without, None)

        def own(counts: Counts, weight: Floats) -> Floats:
            return read(counts[:, : n_line + n_without], weight[:, : n_line + n_without])

        def bias(counts: Counts, weight: Floats) -> Floats:
            return own(counts, weight) - mean_accuracy(counts[:, without], weight[:, without])

        def signalled_bias(counts: Counts, weight: Floats) -> Floats:
            return own(counts, weight) - mean_accuracy(
                counts[:, with_signal], weight[:, with_signal]
            )

        # Through a line that may as well rise there is no accuracy to read off.
        summary = (self._summary(self.measured.tables) or {}) if is_identified else {}
        statistics = {
            "self_estimated_accuracy": own,
            "calibration_bias": bias,
            "calibration_bias_signalled": signalled_bias,
        }
        made: Row = {}
        for name, statistic in statistics.items():
            value = summary.get(name)
            made[name] = (
                dict(stats.NO_INTERVAL)
                if value is None
                else self._own.interval(statistic, value, n_conditions=n_without)
            )
        made["self_estimated_accuracy"]["n_clipped"] = summary.get("n_clipped", 0)
        return made

    def _bound(self, made: Row) -> None:
        """Put the bounds of the missing answers beside each number that is defined."""
        ways = [self.points(tables) for tables in self.measured.completed]
        for place, numbers in _placed(made).items():
            found = [way[place] for way in ways]
            put_bounds(numbers, found)

    def points(self, tables: Tables) -> dict[tuple[str, ...], float | None]:
        """Return the headline numbers of one set of metric tables, without intervals."""
        line, read = self._line(tables, self.domain), self._line(tables, None)
        falls, is_read = (row["slope"] is not None and row["slope"] < 0 for row in (line, read))
        summary = self._summary(tables) or {}
        rows = [
            row
            for row in tables["escalation_curve"].to_pylist()
            if self._is_own(row, "baseline", True, self.domain)
        ]
        counts = condition_counts(rows)
        logit = None
        if rows:
            ones = np.ones((1, len(rows)))
            logit = stats.plain(stats.threshold("logit")(counts[None], ones)[0])
        made: dict[tuple[str, ...], float | None] = {
            ("predictive_accuracy",): line["predictive_accuracy"],
            ("implicit_threshold", "linear"): line["implicit_threshold"] if falls else None,
            ("implicit_threshold", "logit"): logit,
        }
        for name in ("self_estimated_accuracy", "calibration_bias", "calibration_bias_signalled"):
            made[(name,)] = summary.get(name) if is_read else None
        return made

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


def mean_accuracy(counts: Counts, weight: Floats) -> Floats:
    """Return the mean over conditions of the share that is predicted right; a `Statistic`."""
    return stats.weighted_mean(stats.predictive_accuracies(counts), weight)


def mean_rate(counts: Counts, weight: Floats) -> Floats:
    """Return the mean over conditions of the escalation rate; a `Statistic`."""
    return stats.weighted_mean(stats.escalation_rates(counts), weight)


def _placed(made: Row) -> dict[tuple[str, ...], Row]:
    """Return the intervals of a document by where they stand."""
    return {
        ("predictive_accuracy",): made["predictive_accuracy"],
        **{("implicit_threshold", kind): made["implicit_threshold"][kind] for kind in KINDS},
        **{
            (name,): made[name]
            for name in (
                "self_estimated_accuracy",
                "calibration_bias",
                "calibration_bias_signalled",
            )
        },
    }


def put_bounds(numbers: Interval | Row, found: Sequence[float | None]) -> None:
    """Add what the number is at least and at most, whichever way missing answers had gone.

    Both are null where the number is, or where one of the ways leaves it undefined: it then has
    no bound.
    """
    known = [float(value) for value in (numbers["estimate"], *found) if value is not None]
    has_bounds = len(known) == len(found) + 1
    numbers["bound_low"] = min(known) if has_bounds else None
    numbers["bound_high"] = max(known) if has_bounds else None
