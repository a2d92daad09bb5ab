"""The smooth calibration error of a score, which depends on no choice of bins.

Residuals (score minus outcome) are smoothed along the score by a Gaussian kernel that is reflected
at 0 and 1. The error at a bandwidth is the mean absolute smoothed residual. smECE is the error at
the bandwidth that equals it. The grid and the precision of the bandwidth are those of relplot, by
the authors of the measure, so that both give the same number.

The other calibration metrics are in sql/metrics/calibration.sql and reliability.sql.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]

#: Simulated studies of a calibrated model; only their mean is used, and it varies little.
N_CALIBRATED = 50
#: Resamples of an interval.
N_BOOTSTRAP = 200

#: Intervals of the grid to which residuals are rounded; more for a narrow kernel.
_POINTS = 1000
#: Places at which the smoothed residual is evaluated; more for a narrow kernel.
_EVALUATED = 200
#: Halvings of the bandwidth's range, and the bandwidth below which the error is not evaluated.
_HALVINGS, _LEAST_BANDWIDTH = 10, 0.001
#: Added to the density, in rows per unit of the score.
_LEAST_DENSITY = 1e-4

_NAMES = ("estimate", "low", "high", "if_calibrated")


def smooth_calibration_error(confidence: ArrayLike, correct: ArrayLike) -> float | None:
    """Return the smooth calibration error of the confidence, in [0, 1].

    Parameters
    ----------
    confidence : array_like, shape (n,)
        Stated confidence or choice probability, in [0, 1].
    correct : array_like of bool, shape (n,)
        Whether the prediction was right.

    Returns
    -------
    float or None
        0 is calibrated; None for no rows. A calibrated model's is above 0 as well, the more so the
        fewer rows: `smooth_calibration_interval` estimates by how much.

    Raises
    ------
    ValueError
        If the lengths differ or a confidence is not in [0, 1].

    References
    ----------
    Błasiok and Nakkiran, ICLR 2024, arXiv 2309.12236: smECE.
    """
    scores, right = _validated(confidence, correct)
    if scores.size == 0:
        return None
    # Sums are taken in the order of rows: a fixed one keeps the last digit the same.
    order = np.lexsort((right, scores))
    return _error(scores[order], right[order])


def smooth_calibration_interval(
    rng: np.random.Generator,
    confidence: ArrayLike,
    correct: ArrayLike,
    scenario: Sequence[Hashable] | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
) -> dict[str, float | None]:
    """Return the smooth calibration error with a 95% interval.

    Parameters
    ----------
    rng : Generator
        The random number generator.
    confidence, correct : array_like, shape (n,)
        As in `smooth_calibration_error`.
    scenario : sequence, length n, optional
        The scenario of each dialogue, distinguished by its `str`: whole scenarios are resampled,
        and not dialogues.
    n_bootstrap : int, default 200
        Number of resamples; with none, the estimate alone is returned. Each takes about 1 ms, and
        15 ms for 200,000 rows.

    Returns
    -------
    dict
        ``estimate``, ``low`` and ``high``; and ``if_calibrated``, the error that a calibrated
        model of the same confidences would show on average, which is noise alone. All None where
        there are no rows.

    Notes
    -----
    ``high`` is the bootstrap's percentile. A resample has the noise of its sample and its own on
    top, so that the lower percentile of a calibrated model is far above 0; ``low`` is what remains
    of it when ``if_calibrated`` is subtracted in quadrature. docs/decisions/0017-relplot.md has the
    interval's coverage.
    """
    scores, right = _validated(confidence, correct)
    estimate = smooth_calibration_error(scores, right)
    if estimate is None:
        return dict.fromkeys(_NAMES)
    if n_bootstrap == 0:
        return {**dict.fromkeys(_NAMES), "estimate": estimate}
    texts = None if scenario is None else [str(name) for name in scenario]
    scores, right, clusters = _ordered(scores, right, texts)
    n_clusters = int(clusters[-1]) + 1
    resampled = np.empty(n_bootstrap)
    for i in range(n_bootstrap):
        drawn = rng.integers(0, n_clusters, size=n_clusters)
        times = np.bincount(drawn, minlength=n_clusters)[clusters]
        resampled[i] = _error(scores, right, times.astype(np.float64))
    calibrated = np.empty(N_CALIBRATED)
    for i in range(N_CALIBRATED):
        # One draw a scenario: the cautious case, in which all of its dialogues err together.
        simulated = (rng.random(n_clusters)[clusters] < scores).astype(np.float64)
        calibrated[i] = _error(scores, simulated)
    noise = float(calibrated.mean())
    lowest, highest = (float(end) for end in np.quantile(resampled, [0.025, 0.975]))
    low = float(np.sqrt(max(0.0, lowest**2 - noise**2)))
    return {
        "estimate": estimate,
        "low": min(low, estimate),
        "high": max(highest, estimate),
        "if_calibrated": noise,
    }


def _validated(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    scores = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(correct, dtype=bool).astype(np.float64)
    if scores.shape != right.shape or scores.ndim != 1:
        raise ValueError("confidence and correct must be of one dimension and the same length")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("every confidence must be in [0, 1]: leave out dialogues without one")
    return scores, right


def _ordered(
    scores: Floats, right: Floats, texts: list[str] | None
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return the rows in a fixed order, and the cluster of each, from 0 on."""
    if texts is None:
        order = np.lexsort((right, scores))
        return scores[order], right[order], np.arange(len(scores))
    if len(texts) != len(scores):
        raise ValueError("scenario must have the length of confidence")
    places = {text: i for i, text in enumerate(sorted(set(texts)))}
    clusters = np.array([places[text] for text in texts], dtype=np.intp)
    order = np.lexsort((right, scores, clusters))
    return scores[order], right[order], clusters[order]


def _error(scores: Floats, right: Floats, times: Floats | None = None) -> float:
    """Return smECE of rows that count `times` each.

    The error does not increase with the bandwidth, so that bisection finds where they are equal.
    """
    weights = np.ones_like(scores) if times is None else times
    spectra: dict[int, NDArray[np.complex128]] = {}

    def at(bandwidth: float) -> float:
        kernel = _kernel(bandwidth)
        n = kernel.n_points
        if n not in spectra:
            spectra[n] = _spectra(scores, (scores - right) * weights, weights, n)
        smoothed = np.fft.irfft(spectra[n] * kernel.spectrum, 2 * (n - 1), axis=1)
        residuals, density = (
            smoothed[:, kernel.places] * (1 - kernel.fractions)
            + smoothed[:, kernel.places + 1] * kernel.fractions
        )
        return float(np.abs(residuals).sum() / (density + _LEAST_DENSITY).sum())

    low, high, error = 0.0, 1.0, None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = at(middle) if middle >= _LEAST_BANDWIDTH else None
        if found is None or middle < found:
            low = middle
        else:
            high, error = middle, found
    return min(1.0, at(high) if error is None else error)


@dataclass(frozen=True)
class _Kernel:
    """A Gaussian kernel on a grid over [0, 1] that is reflected at its ends.

    Attributes
    ----------
    n_points : int
        Points of the grid.
    spectrum : ndarray, shape (n_points,)
        Fourier transform over one period: the grid, and back.
    places, fractions : ndarray, shape (n_evaluated,)
        Where the smoothed function is evaluated, between a point of the grid and the next one.
    """

    n_points: int
    spectrum: NDArray[np.complex128]
    places: NDArray[np.intp]
    fractions: Floats


@functools.lru_cache(maxsize=256)  # bandwidths are multiples of 1 / 1,024
def _kernel(bandwidth: float) -> _Kernel:
    n_points = max(2 * _POINTS, round(20 / bandwidth)) // 2 + 1
    # As wide as the interval; of an even number of points it is half a point off its middle.
    z = (np.linspace(0, 1, n_points) - 0.5) / bandwidth
    density = np.exp(-z * z / 2) / (np.sqrt(2 * np.pi) * bandwidth)
    period = np.zeros(2 * (n_points - 1))
    period[:n_points] = density
    spectrum = np.fft.rfft(np.roll(period, -(n_points // 2)))
    evaluated = np.linspace(0, 1, max(_EVALUATED, round(10 / bandwidth))) * (n_points - 1)
    places, fractions = _on_grid(evaluated, n_points)
    return _Kernel(n_points, spectrum, places, fractions)


def _on_grid(positions: Floats, n_points: int) -> tuple[NDArray[np.intp], Floats]:
    """Return the point before each position, and the part of the way to the next one."""
    places = np.clip(positions.astype(np.intp), 0, n_points - 2)
    return places, positions - places


def _spectra(
    scores: Floats, residuals: Floats, weights: Floats, n_points: int
) -> NDArray[np.complex128]:
    """Return the Fourier transforms of residuals and weights, each shared by two grid points."""
    places, fractions = _on_grid(scores * (n_points - 1), n_points)
    grid = np.empty((2, n_points))
    for row, values in zip(grid, (residuals, weights), strict=True):
        row[:] = np.bincount(places, (1 - fractions) * values, n_points)
        row += np.bincount(places + 1, fractions * values, n_points)
    # Reflected at both ends, the grid has a period of twice its length.
    return np.fft.rfft(np.concatenate([grid, grid[:, -2:0:-1]], axis=1), axis=1)
