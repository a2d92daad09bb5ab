"""False alarms and power of the canary's sequential test, by simulation.

    python -m benchmarks.canary [--years 1000]

Panels of 40 prompts with several kinds of noise are looked at for a year without drift, and with
drift that begins 0, 10, 30 or 90 looks after the baseline. Printed are the share of years with an
alarm, and by kind of drift the median number of looks until the alarm and the shares found within
7 and 28 looks.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from escalometer.stats import drift

N_PROMPTS, N_BASELINE, ALPHA = 40, 30, 0.05
DAYS_BEFORE = (0, 10, 30, 90)
#: Years that are simulated at once.
_CHUNK = 50

Answers = NDArray[np.int64]


class Noise(NamedTuple):
    """A kind of noise of a model that does not change.

    Attributes
    ----------
    name : str
        For the table.
    share : float
        Share of the prompts with noise; their flip rates are uniform in [0.02, 0.5].
    by_look, by_day : float
        Standard deviations, in logits, of what all flip rates of a look or a day have in common.
    n_daily : int
        Prompts whose answer is drawn anew each day, and the same within the day.
    """

    name: str
    share: float
    by_look: float = 0.0
    by_day: float = 0.0
    n_daily: int = 0


#: Looks are exchangeable under these.
EXCHANGEABLE = (
    Noise("deterministic", 0.0),
    Noise("30% of the prompts", 0.3),
    Noise("60% of the prompts", 0.6),
    Noise("30%, common to a look", 0.3, by_look=1.0),
)
#: Under these they are not, unless the baseline is spread over days.
BY_DAY = (
    Noise("30%, common to a day, sd 0.5", 0.3, by_day=0.5),
    Noise("30%, common to a day, sd 1", 0.3, by_day=1.0),
    Noise("4 prompts drawn daily", 0.0, n_daily=4),
)


class Drift(NamedTuple):
    """A change: `share` of the prompts answer otherwise, after `n_days` of growing to that."""

    share: float
    n_days: int = 1


def choices(
    rng: np.random.Generator, n_years: int, n_looks: int, noise: Noise, baseline_days: int = 1
) -> Answers:
    """Return choices of an unchanged model: years, looks (the baseline first), prompts."""
    n = N_BASELINE + n_looks
    days = np.r_[np.arange(N_BASELINE) * baseline_days // N_BASELINE, np.arange(n_looks)]
    days[N_BASELINE:] += baseline_days
    rates = np.zeros((n_years, 1, N_PROMPTS))
    is_noisy = rng.random(rates.shape) < noise.share
    rates[is_noisy] = rng.uniform(0.02, 0.5, is_noisy.sum())
    common = rng.normal(0, 1, (n_years, n)) * noise.by_look
    common += rng.normal(0, 1, (n_years, days[-1] + 1))[:, days] * noise.by_day
    odds = rates / (1 - rates) * np.exp(common)[..., None]
    answers = (rng.random((n_years, n, N_PROMPTS)) < odds / (1 + odds)).astype(np.int64)
    daily = rng.integers(0, 2, (n_years, days[-1] + 1, noise.n_daily))
    answers[..., : noise.n_daily] = daily[:, days]
    return answers


def drifted(rng: np.random.Generator, answers: Answers, start: int, change: Drift) -> Answers:
    """Return choices of which some are the other one from `start` looks after the baseline on."""
    changed = answers.copy()
    n_years, _, n_prompts = answers.shape
    n_flipped = max(1, round(change.share * n_prompts))
    order = rng.permuted(np.tile(np.arange(n_prompts), (n_years, 1)), axis=1)[:, :n_flipped]
    for i in range(n_flipped):
        first = N_BASELINE + start + i * change.n_days // n_flipped
        for year in range(n_years):
            changed[year, first:, order[year, i]] ^= 1
    return changed


def log_probabilities(
    rng: np.random.Generator, n_years: int, n_looks: int, start: int, noise: float, shift: float
) -> NDArray[np.float64]:
    """Return log-probabilities of 5 tokens per prompt, that shift from `start` on.

    `noise` and `shift` are standard deviations in nats; the noise differs between prompts.
    """
    shape = (n_years, 1, N_PROMPTS, 5)
    spread = noise * np.exp(rng.normal(0, 0.7, (n_years, 1, N_PROMPTS, 1)))
    values = rng.normal(0, 1, shape) + spread * rng.normal(
        0, 1, (n_years, N_BASELINE + n_looks, N_PROMPTS, 5)
    )
    values[:, N_BASELINE + start :] += shift * rng.normal(0, 1, shape)
    return values.round(3)


def first_alarms(looks: Answers | NDArray[np.float64]) -> Answers:
    """Return by year the look after the baseline with the first alarm, from 1; 0: none."""
    p_values = []
    for n in range(N_BASELINE + 1, looks.shape[1] + 1):
        some = looks[:, :n]
        is_choice = looks.ndim == 3
        scores = drift.choice_scores(some, 2) if is_choice else drift.distance_scores(some)
        p_values.append(drift.last_p_value(scores))
    return alarms(np.stack(p_values, axis=-1))


def alarms(p_values: NDArray[np.float64]) -> Answers:
    """Return by year the look with the first alarm, from 1; 0: none."""
    path, _ = drift.evidence_path(p_values, N_BASELINE)
    is_alarm = path >= drift.limit(ALPHA)
    return np.where(is_alarm.any(axis=1), is_alarm.argmax(axis=1) + 1, 0)


def false_alarms(seed: int, n_years: int, noise: Noise, baseline_days: int = 1) -> float:
    """Return the share of years without drift in which there was an alarm."""
    rng = np.random.default_rng(seed)
    found = [
        first_alarms(choices(rng, min(_CHUNK, n_years - done), 365, noise, baseline_days))
        for done in range(0, n_years, _CHUNK)
    ]
    return float(np.mean(np.concatenate(found) > 0))


def delays(
    seed: int, n_years: int, noise: Noise | float, change: Drift | float, start: int
) -> Answers:
    """Return by year the looks from the drift to its alarm; 0 if there was none within 28.

    `noise` and `change` are numbers where log-probabilities are compared, as in
    `log_probabilities`. Years with an alarm before the drift are left out.
    """
    rng = np.random.default_rng(seed)
    n_looks = start + 28
    if isinstance(noise, Noise) and isinstance(change, Drift):
        looks = drifted(rng, choices(rng, n_years, n_looks, noise), start, change)
        found = first_alarms(looks)
    else:
        assert isinstance(noise, float)  # noqa: S101 - for the type checker
        assert isinstance(change, float)  # noqa: S101
        found = first_alarms(log_probabilities(rng, n_years, n_looks, start, noise, change))
    return np.where(found > start, found - start, 0)[(found == 0) | (found > start)]


def _row(label: str, found: Answers) -> str:
    late = np.where(found > 0, found, 99)
    median = np.median(late)
    within = [f"{np.mean(late <= n):.0%}" for n in (7, 28)]
    return f"{label} | {'> 28' if median > 28 else f'{median:.0f}'} | {' | '.join(within)}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--years", type=int, default=1000)
    n_years = parser.parse_args().years
    print("noise | days of the baseline | years with an alarm")
    for noise in EXCHANGEABLE:
        print(f"{noise.name} | 1 | {false_alarms(1, n_years, noise):.1%}", flush=True)
    for noise in BY_DAY:
        for n_days in (1, 5, 10):
            share = false_alarms(2, n_years, noise, n_days)
            print(f"{noise.name} | {n_days} | {share:.1%}", flush=True)
    n_studies = min(n_years, 200)
    print("noise | change | looks before | median looks | within 7 | within 28")
    for noise in EXCHANGEABLE[:3]:
        for change in (Drift(0.05), Drift(0.1), Drift(0.2), Drift(0.2, 14)):
            for start in DAYS_BEFORE:
                label = f"{noise.name} | {change.share:.0%} over {change.n_days} | {start}"
                print(_row(label, delays(3, n_studies, noise, change, start)), flush=True)
    for spread, shift in ((0.02, 0.01), (0.02, 0.02), (0.1, 0.02), (0.1, 0.05)):
        for start in DAYS_BEFORE:
            label = f"log-probabilities, {spread} | {shift} | {start}"
            print(_row(label, delays(4, n_studies // 4, spread, shift, start)), flush=True)


if __name__ == "__main__":
    main()
