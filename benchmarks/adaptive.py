"""How many dialogues the implicit threshold takes: equally many per condition, or adaptively.

The recorded decisions of each model (signal, no cost, not isolated, four main domains) are taken
for the truth: dialogues are drawn from each condition's own with replacement, so that the threshold
is known and any number can be drawn. Three sides in one run:

- fixed: the study's. Equally many dialogues in every condition, least squares on the rates,
  percentile bootstrap. Its number is the least at which the mean half-width is as asked.
- equal: as many in every condition, but the adaptive design's estimate and interval.
- adaptive: `escalometer.stats.adaptive_design` until it says that it is precise.

The ratio is adaptive to fixed. A fixed design of that size has an interval as narrow, but one that
contains the threshold too seldom. The covering ratio is to a fixed design that covers 0.93 as well:
it has to be so large for its bias, and its interval is then narrower than asked.

    python benchmarks/adaptive.py path/to/decisions.parquet                # half an hour
    python benchmarks/adaptive.py path/to/decisions.parquet --studies 100  # a few minutes

Run it in the project's folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np

from escalometer import stats
from escalometer.stats.adaptive_design import Design

#: gpt-5-mini counts at medium effort, as in the study's table of thresholds.
RECORDED = """
    select model, domain, condition, label, prediction = label as correct, escalate, count(*) as n
    from read_parquet($path)
    where has_signal and not is_isolated and not is_thinking and cost_ratio is null
        and domain <> 'moral_machine'
        and coalesce(reasoning_effort, 'medium') = 'medium'
    group by all
    order by all
"""
N_BOOTSTRAP = 500
#: Replicates whose mean half-width decides how many dialogues a fixed design needs.
N_WIDTHS = 60

#: One study's estimate: low and high end, or nothing.
Ends = tuple[float, float] | None


class Truth:
    """A model whose conditions' probabilities are known: cells of shape (n_conditions, 2, 4)."""

    def __init__(self, keys: list[tuple[str, str]], counts: np.ndarray, pool: int | None) -> None:
        self.keys = keys
        self.cells = counts / counts.sum(axis=(1, 2), keepdims=True)
        share = self.cells.sum(axis=2)
        self.pool = share * (pool or 10**9)
        four = self.cells.sum(axis=1)
        slope, intercept, _ = stats.fit_lines(
            (four[:, 0] + four[:, 2])[None], (four[:, 2] + four[:, 3])[None]
        )
        self.threshold = float((0.5 - intercept[0]) / slope[0])

    def draw(self, n: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the counts of `n` dialogues of each condition."""
        drawn = rng.multinomial(n, self.cells.reshape(len(n), 8))
        return drawn.reshape(self.cells.shape)

    def design(self, precision: float) -> Design:
        """Return the adaptive design for this truth's conditions."""
        return Design(self.keys, self.pool, precision)


def fixed_ends(_: Truth, counts: np.ndarray, rng: np.random.Generator) -> Ends:
    """Return the interval of the ordinary analysis."""
    names = [(i,) for i in range(len(counts))]
    seed = int(rng.integers(2**31))
    drawn = stats.Resamples.draw(names, names, counts.sum(axis=1), seed, N_BOOTSTRAP)
    fit = stats.threshold_fit("linear", drawn)
    return (float(fit["low"]), float(fit["high"])) if fit["low"] is not None else None


def own_ends(truth: Truth, counts: np.ndarray, _: np.random.Generator) -> Ends:
    """Return the adaptive design's interval of an equal allocation."""
    result = truth.design(0.5).estimate(counts)
    return (result.low, result.high) if result.low is not None else None


def equal_studies(
    truth: Truth,
    n: int,
    interval: Callable[[Truth, np.ndarray, np.random.Generator], Ends],
    n_studies: int,
    seed: int,
) -> np.ndarray:
    """Return the ends of studies with `n` dialogues per condition, (n_studies, 2); NaN: none."""
    rng = np.random.default_rng(seed)
    each = np.full(len(truth.keys), n)
    ends = [interval(truth, truth.draw(each, rng), rng) for _ in range(n_studies)]
    return np.array([end or (np.nan, np.nan) for end in ends])


def least_n(
    truth: Truth,
    precision: float,
    interval: Callable[[Truth, np.ndarray, np.random.Generator], Ends],
) -> int:
    """Return the least number per condition at which the mean half-width is `precision`."""
    low, high = 10, 2000
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        ends = equal_studies(truth, middle, interval, N_WIDTHS, seed=middle)
        # Without an interval in some studies, the number is too small for any precision.
        wide = np.isnan(ends).any() or np.ptp(ends, axis=1).mean() / 2 > precision
        low, high = (middle, high) if wide else (low, middle)
    return high


def least_covering_n(truth: Truth, n_studies: int) -> int:
    """Return about the least number per condition at which the study's interval covers 0.93."""
    low, high = 100, 3200
    while high > 1.1 * low:
        middle = round((low * high) ** 0.5)
        ends = equal_studies(truth, middle, fixed_ends, n_studies, seed=middle)
        low, high = (low, middle) if coverage(truth, ends) >= 0.93 else (middle, high)
    return high


def adaptive_studies(
    truth: Truth, precision: float, n_studies: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of adaptive studies, (n_studies, 2), and their numbers of dialogues."""
    rng = np.random.default_rng(seed)
    design = truth.design(precision)
    endless = dict.fromkeys(truth.keys, 10**9)
    ends, sizes = [], []
    for _ in range(n_studies):
        counts = np.zeros(truth.cells.shape, dtype=np.int64)
        while not design.is_precise(counts, endless):
            more = design.allocate(counts, design.round_size(counts, endless), endless)
            counts += truth.draw(np.array([more.get(key, 0) for key in truth.keys]), rng)
        result = design.estimate(counts)
        ends.append((result.low, result.high))
        sizes.append(counts.sum())
    return np.array(ends, dtype=float), np.array(sizes)


def coverage(truth: Truth, ends: np.ndarray) -> float:
    """Return the share of intervals that contain the threshold."""
    return float(((ends[:, 0] <= truth.threshold) & (truth.threshold <= ends[:, 1])).mean())


def read(path: Path, pool: int | None) -> dict[str, Truth]:
    """Return each recorded model's truth."""
    with duckdb.connect() as connection:
        rows = connection.execute(RECORDED, {"path": str(path)}).fetchall()
    truths = {}
    for model in sorted({row[0] for row in rows}):
        keys = sorted({(row[1], row[2]) for row in rows if row[0] == model})
        counts = np.zeros((len(keys), 2, 4), dtype=np.int64)
        for name, domain, condition, label, correct, escalate, n in rows:
            if name == model:
                cell = 2 * escalate + (0 if correct else 1)
                counts[keys.index((domain, condition)), label, cell] += n
        truths[model] = Truth(keys, counts, pool)
    return truths


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recorded", type=Path, help="decisions.parquet")
    parser.add_argument("--studies", type=int, default=1000, help="studies of each kind")
    parser.add_argument("--precision", type=float, nargs="+", default=[0.02, 0.03, 0.05])
    parser.add_argument("--pool", type=int, help="cases per condition (default: without end)")
    args = parser.parse_args()
    sides = ("fixed", "covers", "equal", "covers", "adaptive", "covers", "ratio", "covering ratio")
    print("| " + " | ".join(["model", "p*", "half-width", *sides]) + " |")
    print("|---" * (3 + len(sides)) + "|")
    notes = []
    for model, truth in read(args.recorded, args.pool).items():
        covering = least_covering_n(truth, args.studies) * len(truth.keys)
        notes.append(f"{model}: the fixed design's interval covers 0.93 from {covering:,} on")
        for precision in args.precision:
            cells = [model, f"{truth.threshold:.4f}", f"{precision}"]
            sizes = []
            for interval in (fixed_ends, own_ends):
                n = least_n(truth, precision, interval)
                ends = equal_studies(truth, n, interval, args.studies, seed=1)
                sizes.append(n * len(truth.keys))
                cells += [f"{sizes[-1]:,}", f"{coverage(truth, ends):.3f}"]
            ends, held = adaptive_studies(truth, precision, args.studies, seed=2)
            cells += [f"{held.mean():,.0f}", f"{coverage(truth, ends):.3f}"]
            cells += [f"{held.mean() / n:.2f}" for n in (sizes[0], max(sizes[0], covering))]
            print("| " + " | ".join(cells) + " |", flush=True)
    print("", *notes, sep="\n")


if __name__ == "__main__":
    main()
