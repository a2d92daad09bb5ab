"""The smooth calibration error of a score, which depends on no choice of bins.

The other calibration metrics are in sql/metrics/calibration.sql and reliability.sql.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]

#: Simulated studies of a calibrated model; only their mean is used, and it varies little.
N_CALIBRATED = 50
#: Resamples of an interval.
N_BOOTSTRAP = 200

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
    Błasiok and Nakkiran, ICLR 2024, arXiv 2309.12236: smECE, by the authors' relplot.
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
        Number of resamples; with none, the estimate alone is returned. Each takes about 10 ms, and
        200 ms for 200,000 rows.

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
        resampled[i] = _error(np.repeat(scores, times), np.repeat(right, times))
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


def _error(scores: Floats, right: Floats) -> float:
    from relplot.metrics import smECE  # takes three seconds: it brings seaborn

    return min(1.0, float(smECE(scores, right)))
