"""Adaptive allocation of dialogues to conditions, to estimate the implicit threshold.

The estimand is the study's: the least-squares line of escalation rate on predictive accuracy over
the conditions, each with the same weight however many dialogues it has, solved for one half. Three
things let it do with fewer dialogues than the same number in every condition:

- The share of a condition's cases with label 1 is known without asking any model. The accuracies
  are regression estimates on the label, so that a draw with many cases of one label does not count.
- The sums of squares of the line are corrected for the noise of the accuracies. Without that the
  line is too flat, by a third at 25 dialogues a condition.
- Dialogues go to conditions in proportion to the standard deviation of their influence, and rounds
  end once the interval is as narrow as required.

docs/decisions/0013-adaptive-sampling.md has the reasons and the results.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from escalometer.stats.shares import Z95

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
#: Domain and condition.
Key: TypeAlias = tuple[str, str]

#: The last axis of the counts, as in `estimates`: what of each outcome is right, and escalated.
OUTCOMES = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])

#: The weight, in dialogues, of the expected outcome in the mean of a label, which few dialogues
#: estimate poorly.
_PRIOR = 2.0
#: Pseudo-dialogues, spread evenly over the outcomes, in each condition's variance: after ten
#: dialogues that all implement, the next one may still escalate.
_PSEUDO = 0.5
#: Degrees of freedom that the residuals lose: a mean costs one, a mean for each label two, and the
#: means here are between the two.
_LOST = 1.5
#: The next round's share of the dialogues still needed: all of them would overshoot in every second
#: study.
_STEP = 0.8
#: Least and greatest size of a round, as a share of the dialogues so far. With few looks at the
#: width, stopping at a narrow one by chance hardly affects the interval's coverage.
_SMALLEST, _GREATEST = 0.05, 1.0


@dataclass(frozen=True)
class Estimate:
    """The current estimate of the implicit threshold.

    Attributes
    ----------
    estimate : float or None
        An accuracy; null where there is no line, or a flat one.
    low, high : float or None
        Ends of the 95% interval; null where the status is *unidentified*.
    status : {"ok", "extrapolated", "unidentified"}
        As in `estimates.threshold_fit`.
    """

    estimate: float | None
    low: float | None
    high: float | None
    status: str

    @property
    def half_width(self) -> float:
        """Half of the interval's width, infinity where there is none."""
        if self.low is None or self.high is None:
            return math.inf
        return (self.high - self.low) / 2


def tally(
    conditions: ArrayLike, labels: ArrayLike, correct: ArrayLike, escalate: ArrayLike, n: int
) -> Counts:
    """Return the number of dialogues by condition, label and outcome.

    Parameters
    ----------
    conditions : array_like of int, shape (n_dialogues,)
        Each dialogue's place in `Design.conditions`.
    labels, correct, escalate : array_like of 0 and 1, shape (n_dialogues,)
        Of parsed dialogues alone.
    n : int
        Number of conditions.

    Returns
    -------
    ndarray, shape (n, 2, 4)
        By label, then right and implemented, wrong and implemented, right and escalated, wrong and
        escalated.
    """
    place, label, right, escalated = (
        np.asarray(values, dtype=np.int64) for values in (conditions, labels, correct, escalate)
    )
    cell = (place * 2 + label) * 4 + 2 * escalated + 1 - right
    return np.bincount(cell, minlength=n * 8).astype(np.int64).reshape(n, 2, 4)


class Design:
    """A sequential design that estimates the implicit threshold to a given precision.

    It has no state: the counts so far are passed in, so that a study can be interrupted and
    resumed. `available` in its methods is the number of further dialogues of each condition that
    the pool or the budget allows; a condition that it lacks has none.

    Parameters
    ----------
    conditions : sequence of (domain, condition)
        In the order of the counts' first axis.
    pool : array_like, shape (n_conditions, 2)
        Cases of label 0 and of label 1 that the condition's scenarios are drawn from, each drawn as
        often as any other; those drawn already are counted too.
    precision : float
        Half-width of the 95% interval to reach, an accuracy in (0, 1).
    pilot : int
        Dialogues of every condition before the first judgement, at least 5.

    Raises
    ------
    ValueError
        A condition comes twice, `pool` does not fit, or a number is out of its range.

    References
    ----------
    Neyman 1934 (allocation); Cassel, Särndal and Wretman 1976 (regression estimates); Fuller 1987,
    section 2.2 (moments corrected for errors of measurement); Fieller 1954 (interval of a ratio);
    Anscombe 1953, Chow and Robbins 1965 (sampling until an interval is narrow enough).
    """

    def __init__(
        self, conditions: Sequence[Key], pool: ArrayLike, precision: float, pilot: int = 10
    ) -> None:
        self.conditions = tuple(conditions)
        self.precision = precision
        self.pilot = pilot
        cases = np.asarray(pool, dtype=np.float64)
        if len(set(self.conditions)) != len(self.conditions):
            raise ValueError("a condition comes twice")
        if cases.shape != (len(self.conditions), 2) or (cases < 0).any():
            raise ValueError("pool needs the number of cases of either label for every condition")
        if not 0 < precision < 1 or pilot < 5:
            raise ValueError("precision must be in (0, 1) and pilot at least 5")
        self._n_cases = cases.sum(axis=1)
        self._share = cases / np.maximum(self._n_cases, 1)[:, None]

    def estimate(self, counts: Counts) -> Estimate:
        """Return the implicit threshold with its 95% interval and status.

        Parameters
        ----------
        counts : ndarray, shape (n_conditions, 2, 4)
            As `tally` gives them. Conditions with under two dialogues are left out.
        """
        return self._fit(counts).result

    def is_precise(self, counts: Counts, available: Mapping[Key, int]) -> bool:
        """Return true if the pilot is over and the interval is as narrow as required.

        The pilot counts as over where no more of it is available.
        """
        if self._pilot_gaps(counts, self._limits(available)).any():
            return False
        return self.estimate(counts).half_width <= self.precision

    def round_size(self, counts: Counts, available: Mapping[Key, int]) -> int:
        """Return the size of the next round; 0 where no dialogues are available."""
        limits = self._limits(available)
        gaps = int(self._pilot_gaps(counts, limits).sum())
        if gaps:
            return gaps
        n_dialogues = int(counts.sum())
        missing = (self.estimate(counts).half_width / self.precision) ** 2 - 1
        share = min(max(_STEP * missing, _SMALLEST), _GREATEST)
        size = max(math.ceil(share * n_dialogues), len(self.conditions) // 2, 1)
        return min(size, int(limits.sum()))

    def allocate(self, counts: Counts, n: int, available: Mapping[Key, int]) -> dict[Key, int]:
        """Return the further dialogues of each condition; conditions with none are left out.

        The pilot comes first, then dialogues that bring the conditions closest to the best
        proportions.

        Parameters
        ----------
        counts : ndarray, shape (n_conditions, 2, 4)
            As `tally` gives them.
        n : int
            Dialogues to allocate, at least 0; fewer are where fewer are available.
        available : mapping of (domain, condition) to int
            The number of further dialogues of each condition.
        """
        limits = self._limits(available)
        n_dialogues = counts.sum(axis=(1, 2))
        gaps = self._pilot_gaps(counts, limits)
        if gaps.any():
            more = _fill(np.ones(len(n_dialogues)), n_dialogues, min(n, int(gaps.sum())), gaps)
        else:
            more = _fill(self._weights(counts), n_dialogues, min(n, int(limits.sum())), limits)
        return {key: int(m) for key, m in zip(self.conditions, more, strict=True) if m}

    def _limits(self, available: Mapping[Key, int]) -> Counts:
        return np.array([max(available.get(key, 0), 0) for key in self.conditions], dtype=np.int64)

    def _pilot_gaps(self, counts: Counts, limits: Counts) -> Counts:
        gaps: Counts = np.minimum(np.maximum(self.pilot - counts.sum(axis=(1, 2)), 0), limits)
        return gaps

    def _fit(self, counts: Counts) -> _Fit:
        used = counts.sum(axis=(1, 2)) >= 2
        rates = _rates(counts[used].astype(np.float64), self._share[used], self._n_cases[used])
        return _Fit(used, rates, _threshold(rates))

    def _weights(self, counts: Counts) -> Floats:
        """Return the proportions of dialogues over the conditions."""
        fit = self._fit(counts)
        if fit.result.low is None:
            return np.ones(len(counts))  # without a threshold, influences are noise
        smooth = self._smooth(fit)
        weights = np.zeros(len(counts))
        weights[fit.used] = np.sqrt(_influence_variances(smooth))
        return weights

    def _smooth(self, fit: _Fit) -> _Rates:
        """Return the rates of each condition as predicted by its domain and its labels.

        A condition that by chance seems uninformative would get no dialogues to correct that, and
        stay in the estimate: for the thresholds of the recorded models that is a bias of one
        standard error. So a condition's allocation depends on its own outcomes no more than on
        those of the other conditions of its domain.
        """
        names = [domain for domain, _ in self.conditions]
        used = np.flatnonzero(fit.used)
        domains = sorted({names[i] for i in used})
        member = np.array([[names[i] == domain for domain in domains] for i in used], dtype=float)
        columns = np.column_stack([member, self._share[used].max(axis=1)])
        fitted = columns @ np.linalg.pinv(columns) @ fit.rates.mean
        mixing = member @ (member / member.sum(axis=0)).T
        return _Rates(
            mean=fitted,
            variance=np.tensordot(mixing, fit.rates.variance, axes=1),
            noise=np.zeros_like(fit.rates.noise),
            error=np.zeros_like(fit.rates.error),
        )


@dataclass(frozen=True)
class _Rates:
    """Accuracy and escalation rate, in this order, of every condition.

    `mean` has shape (n, 2), the others (n, 2, 2): `variance` of one dialogue's contribution to the
    mean; `noise`, the mean's covariance without bias, to be taken off sums of squares; `error`,
    the mean's covariance with pseudo-dialogues, for the interval.
    """

    mean: Floats
    variance: Floats
    noise: Floats
    error: Floats


@dataclass(frozen=True)
class _Fit:
    used: NDArray[np.bool_]
    rates: _Rates
    result: Estimate


def _rates(counts: Floats, share: Floats, n_cases: Floats) -> _Rates:
    """Return regression estimates on the label; every condition has at least two dialogues."""
    n = counts.sum(axis=(1, 2))
    by_label = counts.sum(axis=2)
    plain = counts.sum(axis=1) @ OUTCOMES / n[:, None]
    # Expected outcomes of a label of which few were drawn: predictions independent of the case.
    says_one = (counts[:, 1] @ OUTCOMES[:, 0] + counts[:, 0] @ (1 - OUTCOMES[:, 0])) / n
    expected = np.stack(
        [np.stack([1 - says_one, plain[:, 1]], axis=1), np.stack([says_one, plain[:, 1]], axis=1)],
        axis=1,
    )
    means = (counts @ OUTCOMES + _PRIOR * expected) / (by_label + _PRIOR)[:, :, None]
    gap = share - by_label / n[:, None]
    estimate = plain + np.einsum("kl,klf->kf", gap, means)

    residual = OUTCOMES - means[:, :, None, :]
    smoothed = counts + _PSEUDO * share[:, :, None] / 4
    variance = _covariance(smoothed / (n + _PSEUDO)[:, None, None], residual)
    unbiased = _covariance(counts / n[:, None, None], residual) * (n / (n - _LOST))[:, None, None]
    # The pool is itself a sample: the error of its share of labels.
    between = means[:, 1] - means[:, 0]
    spread = share.prod(axis=1) / np.maximum(n_cases, 1)
    pool = spread[:, None, None] * between[:, :, None] * between[:, None, :]
    return _Rates(
        mean=estimate,
        variance=variance,
        noise=unbiased / n[:, None, None] + pool,
        error=variance / n[:, None, None] + pool,
    )


def _covariance(shares: Floats, residual: Floats) -> Floats:
    centered = residual - np.einsum("kly,klyf->kf", shares, residual)[:, None, None, :]
    result: Floats = np.einsum("kly,klyf,klyg->kfg", shares, centered, centered)
    return result


def _moments(rates: _Rates) -> tuple[float, float, Floats, Floats]:
    """Return numbers a and b such that a + b·t = 0 at the threshold t, and their gradients.

    With the sums of squares corrected for noise, a = (mean rate − ½)·Sxx − Sxy·(mean accuracy) and
    b = Sxy; b is 0 where noise explains all that the accuracies differ by. The gradients have shape
    (n_conditions, 2), by accuracy and rate.
    """
    accuracy, rate = rates.mean[:, 0], rates.mean[:, 1]
    n = len(accuracy)
    dx, dy = accuracy - accuracy.mean(), rate - rate.mean()
    sxx, sxy = dx @ dx, dx @ dy
    for_noise = (1 - 1 / n) * rates.noise.sum(axis=0)
    sxx, sxy = sxx - for_noise[0, 0], sxy - for_noise[0, 1]
    if sxx <= 0:
        sxx = sxy = 0.0
    level, center = rate.mean() - 0.5, accuracy.mean()
    of_b = np.stack([dy, dx], axis=1)
    of_a = -center * of_b
    of_a[:, 0] += 2 * level * dx - sxy / n
    of_a[:, 1] += sxx / n
    return float(level * sxx - sxy * center), float(sxy), of_a, of_b


def _threshold(rates: _Rates) -> Estimate:
    if len(rates.mean) < 3:
        return Estimate(None, None, None, "unidentified")
    a, b, of_a, of_b = _moments(rates)
    estimate = -a / b if b != 0 else None
    quadratic = functools.partial(np.einsum, "kf,kfg,kg->", optimize=False)
    var_a, cov, var_b = (
        float(quadratic(left, rates.error, right))
        for left, right in ((of_a, of_a), (of_a, of_b), (of_b, of_b))
    )
    # Fieller: all t at which a + b·t is no further from 0 than chance allows. They have two ends
    # where the slope itself is further from 0 than that, and only then.
    square, half, rest = (
        b * b - Z95 * Z95 * var_b,
        a * b - Z95 * Z95 * cov,
        a * a - Z95 * Z95 * var_a,
    )
    if estimate is None or b >= 0 or square <= 0:
        return Estimate(estimate, None, None, "unidentified")
    spread = math.sqrt(max(half * half - square * rest, 0.0))
    low, high = (-half - spread) / square, (-half + spread) / square
    seen = rates.mean[:, 0]
    status = "ok" if seen.min() <= estimate <= seen.max() else "extrapolated"
    return Estimate(float(estimate), low, high, status)


def _influence_variances(rates: _Rates) -> Floats:
    """Return the variance of one dialogue's influence on the threshold, by condition."""
    a, b, of_a, of_b = _moments(rates)
    if b == 0:
        return np.ones(len(rates.mean))
    influence = (of_a - of_b * (a / b)) / b
    result: Floats = np.einsum("kf,kfg,kg->k", influence, rates.variance, influence)
    return result


def _fill(weights: Floats, n_dialogues: Counts, n: int, limits: Counts) -> Counts:
    """Return `n` further dialogues by condition, so that the totals best match `weights`.

    Minimizes the sum of weights² / (n_dialogues + added), with no addition beyond its limit.
    """
    weights = np.maximum(weights, 1e-9 * max(float(weights.max(initial=0.0)), 1e-300))
    low, high = 0.0, float(((n_dialogues + limits) / weights).max(initial=0.0))
    for _ in range(100):
        level = (low + high) / 2
        if np.clip(level * weights - n_dialogues, 0, limits).sum() > n:
            high = level
        else:
            low = level
    ideal = np.clip(low * weights - n_dialogues, 0, limits)
    added: Counts = np.floor(ideal).astype(np.int64)
    for i in np.argsort(added - ideal, kind="stable"):
        if added.sum() >= n:
            break
        added[i] += added[i] < limits[i]
    return added
