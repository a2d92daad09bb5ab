"""How long 25 million ratings take to become pairwise scenarios, and how much memory.

Generated ratings in GroupLens's columns, with few very popular movies and few very active users,
are written as CSV to a temporary folder. A separate process runs the stages on them: load and
digest (ingest), load again and pair (the staging statements), then texts, splits, signals and
draws. Beside it, on a subsample, the same pairs by a self-join in pandas.

    python benchmarks/ratings_to_pairs.py                      # ml-25m's size
    python benchmarks/ratings_to_pairs.py --ratings 2500000    # a tenth

Run it in the project's folder.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

DOMAIN = "movielens"
GENRES = ("Action", "Adventure", "Comedy", "Crime", "Drama", "Horror", "Romance", "Sci-Fi", "War")
#: Of the subsample: all of its pairs must fit into pandas' memory.
N_NAIVE_USERS = 600


def generate(folder: Path, n_ratings: int, seed: int = 25) -> None:
    """Write `ratings.csv` and `movies.csv`, sorted by user as GroupLens sorts them.

    Users and movies are in ml-25m's proportion to `n_ratings`. Activity is log-normal from 20
    ratings on (there: median 71, mean 154); popularity follows a power law; a rating is the movie's
    quality, the user's mildness and noise, in half stars.
    """
    random = np.random.default_rng(seed)
    n_users = round(n_ratings * 162_541 / 25_000_095)
    n_movies = max(500, round(59_047 * min(1, n_ratings / 25_000_095)))
    activity = 20 + random.lognormal(np.log(45), 1.35, n_users)
    # More than wanted, since nobody rates a movie twice.
    counts = random.poisson(activity * (1.5 * n_ratings / activity.sum()))
    users = np.repeat(np.arange(n_users, dtype=np.int64), counts)
    popularity = (np.arange(n_movies) + 20.0) ** -1.15
    edges = np.cumsum(popularity) / popularity.sum()
    movies = np.minimum(np.searchsorted(edges, random.random(len(users))), n_movies - 1)
    keys = np.unique(users * n_movies + movies)
    keys = np.sort(random.permutation(keys)[:n_ratings])
    users, movies = np.divmod(keys, n_movies)
    quality = np.clip(random.normal(3.3, 0.5, n_movies), 0.8, 4.6)
    mildness = random.normal(0, 0.4, n_users)
    exact = quality[movies] + mildness[users] + random.normal(0, 0.9, len(keys))
    ratings = np.clip(np.round(2 * exact) / 2, 0.5, 5.0)
    with duckdb.connect() as connection:
        connection.from_arrow(
            pa.table(
                {
                    "userId": users + 1,
                    "movieId": movies + 1,
                    "rating": ratings,
                    "timestamp": random.integers(789_652_009, 1_574_327_703, len(keys)),
                }
            )
        ).write_csv(str(folder / "ratings.csv"), header=True)
        pairs = [random.choice(GENRES, 2, replace=False) for _ in range(n_movies)]
        connection.from_arrow(
            pa.table(
                {
                    "movieId": np.arange(n_movies) + 1,
                    "title": [f"Movie {i}, The ({1950 + i % 70})" for i in range(n_movies)],
                    "genres": ["|".join(sorted(pair)) for pair in pairs],
                }
            )
        ).write_csv(str(folder / "movies.csv"), header=True)


def run_stages(root: Path) -> dict[str, float]:
    """Return the seconds of each step from raw files to scenarios, and what came of them."""
    from escalometer.cases import catalog
    from escalometer.cases.scenarios import sample_scenarios
    from escalometer.cases.staging import stage_table
    from escalometer.config import Params, SampleParams
    from escalometer.schema import CONDITIONS, SCENARIOS, write_table
    from escalometer.stages import ingest

    plugin = catalog.load(DOMAIN)
    params = Params(
        seed=1, models=("any",), domains=(DOMAIN,), sample=SampleParams(n_per_condition=250)
    )
    folder = root / "data" / "scenarios" / DOMAIN
    times = [time.perf_counter()]
    ingest.run(DOMAIN, root)
    times.append(time.perf_counter())
    cases = stage_table(plugin, params, root / "data" / "raw" / DOMAIN)
    times.append(time.perf_counter())
    sampled = sample_scenarios(plugin, cases, params)
    times.append(time.perf_counter())
    write_table(sampled.cases, sampled.cases.schema, folder / "table.parquet")
    write_table(sampled.conditions, CONDITIONS, folder / "conditions.parquet")
    write_table(sampled.scenarios, SCENARIOS, folder / "scenarios.parquet")
    times.append(time.perf_counter())
    names = ("ingest (load, digest)", "load and pair in SQL", "texts, signals, draws", "write")
    steps = {name: end - start for name, start, end in zip(names, times, times[1:], strict=False)}
    used = resource.getrusage(resource.RUSAGE_SELF)
    steps["peak_gib"] = used.ru_maxrss / 2 ** (30 if sys.platform == "darwin" else 20)
    steps["processor_s"] = used.ru_utime + used.ru_stime
    steps["n_cases"] = cases.num_rows
    steps["n_conditions"] = len(sampled.conditions)
    steps["n_drawn"] = sum(bool(row["drawn_for"]) for row in sampled.scenarios)
    return steps


def pair_in_sql(folder: Path) -> tuple[float, int]:
    """Return the seconds of the project's own load and pairing, and the number of pairs."""
    from escalometer.cases import catalog
    from escalometer.cases.staging import stage_table
    from escalometer.config import Params

    params = Params(seed=1, models=("any",), domains=(DOMAIN,))
    start = time.perf_counter()
    cases = stage_table(catalog.load(DOMAIN), params, folder)
    return time.perf_counter() - start, cases.num_rows


def pair_in_pandas(folder: Path) -> tuple[float, int]:
    """Return the same of a self-join in pandas: every pair, then five a user and bin."""
    import pandas as pd

    start = time.perf_counter()
    ratings = pd.read_csv(folder / "ratings.csv", usecols=["userId", "movieId", "rating"])
    by_movie = ratings.groupby("movieId").rating.agg(average="mean", n="size")
    known = by_movie[by_movie.n >= 20].average.round(2).reset_index()
    rated = ratings.merge(known, on="movieId")
    pairs = rated.merge(rated, on="userId", suffixes=("_a", "_b"))
    pairs = pairs[(pairs.average_a > pairs.average_b) & (pairs.rating_a != pairs.rating_b)]
    difference = (pairs.average_a - pairs.average_b).round(2)
    edges = [0, 0.05, 0.15, 0.3, 0.5, 0.7, 1.0, 1.3, 1.6, 2.0, 5.0]
    pairs = pairs.assign(bin=pd.cut(difference, edges, right=False, labels=False))
    drawn = pairs.sample(frac=1, random_state=1).groupby(["userId", "bin"]).head(5)
    return time.perf_counter() - start, len(drawn)


def subsample(source: Path, target: Path) -> int:
    """Copy the ratings of some users and return how many they are."""
    target.mkdir()
    with duckdb.connect() as connection:
        kept = connection.sql(
            f"select * from read_csv('{source / 'ratings.csv'}') "  # noqa: S608 (our own folder)
            f"where userId <= {N_NAIVE_USERS}"
        )
        kept.write_csv(str(target / "ratings.csv"), header=True)
    (target / "movies.csv").write_bytes((source / "movies.csv").read_bytes())
    return sum(1 for _ in (target / "ratings.csv").open()) - 1


def main() -> None:
    """Generate, measure in a separate process, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=int, default=25_000_095)
    parser.add_argument("--in-child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.in_child:
        print(json.dumps(run_stages(asked.in_child)))
        return
    with tempfile.TemporaryDirectory(prefix="ratings-") as temporary:
        folder = Path(temporary) / "data" / "raw" / DOMAIN
        folder.mkdir(parents=True)
        generate(folder, asked.ratings)
        size = (folder / "ratings.csv").stat().st_size
        print(f"{asked.ratings:,} ratings, {size / 1e6:,.0f} MB of CSV")
        command = [sys.executable, __file__, "--in-child", temporary]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
        steps = json.loads(done.stdout.splitlines()[-1])
        counts = {name: steps.pop(name) for name in ("n_cases", "n_conditions", "n_drawn")}
        peak, processor = steps.pop("peak_gib"), steps.pop("processor_s")
        for name, seconds in steps.items():
            print(f"{name:<24}{seconds:8.1f} s")
        print(f"{'in all':<24}{sum(steps.values()):8.1f} s")
        print(f"{'processor time':<24}{processor:8.1f} s")
        print(f"{'peak memory':<24}{peak:8.2f} GiB")
        print("{n_cases:,} pairs, {n_conditions} conditions, {n_drawn:,} drawn".format(**counts))
        few = Path(temporary) / "few"
        n_few = subsample(folder, few)
        ours, n_ours = pair_in_sql(few)
        naive, n_naive = pair_in_pandas(few)
        print(
            f"{n_few:,} ratings of {N_NAIVE_USERS} users: {ours:.2f} s here ({n_ours:,} pairs), "
            f"{naive:.2f} s by a self-join in pandas ({n_naive:,}): {naive / ours:.1f} x"
        )


if __name__ == "__main__":
    main()
