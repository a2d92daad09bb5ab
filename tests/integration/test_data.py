"""`escalometer data fetch | status`, against a real server on loopback and real files."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import threading
import zipfile
from dataclasses import replace

import pytest

from escalometer.cases import catalog
from escalometer.cases.domains import Download, shipped
from escalometer.cases.scenarios import sample_scenarios
from escalometer.cases.staging import stage_table
from escalometer.config import Params, SampleParams
from escalometer.errors import DataError, UsageError
from escalometer.operations import data
from escalometer.stages import ingest
from tests.conftest import SHARED

PARAMS = Params(
    seed=20260408,
    models=("m",),
    domains=("movielens",),
    sample=SampleParams(n_per_condition=2, min_signal_cases=40),
)


def archive() -> bytes:
    """A zip file in GroupLens' layout: 60 users, 40 movies, generated."""
    movies = ["movieId,title,genres"]
    movies += [f"{m},Film {m} ({1950 + m}),Drama|Comedy" for m in range(1, 41)]
    ratings = ["userId,movieId,rating,timestamp"]
    for user in range(1, 61):
        for movie in range(1, 41):
            stars = 1 + ((user * 7 + movie * 3 + movie // 9) % 9) / 2
            ratings.append(f"{user},{movie},{stars},964982703")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("ml-test/ratings.csv", "\n".join(ratings) + "\n")
        file.writestr("ml-test/movies.csv", "\n".join(movies) + "\n")
        file.writestr("ml-test/README.txt", "generated")
    return content.getvalue()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A movielens whose download is on loopback; returns how to set the checksum it promises."""
    folder = tmp_path / "served"
    folder.mkdir()
    content = archive()
    (folder / "ml-test.zip").write_bytes(content)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shipped = catalog.load("movielens")

    def promise(checksum: str | None = None) -> None:
        item = Download(
            release="ml-test",
            url=f"http://127.0.0.1:{server.server_port}/ml-test.zip",
            file="ml-test.zip",
            checksum=checksum or f"sha256:{hashlib.sha256(content).hexdigest()}",
            members=("ratings.csv", "movies.csv"),
        )
        editions = tuple(
            replace(e, downloads=(item,)) if e.name == "grouplens" else e for e in shipped.editions
        )
        plugin = replace(shipped, editions=editions)
        monkeypatch.setattr(catalog, "load", lambda name, root=None: plugin)

    promise()
    yield promise
    server.shutdown()
    server.server_close()


def test_fetch_brings_verified_files_and_says_which_release_they_are(served, tmp_path):
    ingest.run("movielens", tmp_path)  # the embedded edition, which makes room
    about = data.fetch("movielens", root=tmp_path)
    assert about["edition_name"] == "grouplens"
    assert about["release"] == "ml-test"
    folder = tmp_path / "data" / "raw" / "movielens"
    assert {path.name for path in folder.iterdir()} == {
        "ratings.csv",
        "movies.csv",
        "provenance.json",
    }
    assert (tmp_path / "data/downloads/movielens/ml-test.zip").exists()
    assert data.fetch("movielens", root=tmp_path)["release"] == "ml-test"  # again: in its place


def test_a_download_that_is_not_what_was_published_changes_nothing(served, tmp_path):
    ingest.run("movielens", tmp_path)
    before = sorted(path.name for path in (tmp_path / "data/raw/movielens").iterdir())
    served("sha256:" + "0" * 64)
    with pytest.raises(DataError, match="sha256"):
        data.fetch("movielens", root=tmp_path)
    assert sorted(path.name for path in (tmp_path / "data/raw/movielens").iterdir()) == before


def test_files_of_the_users_own_are_never_overwritten(served, tmp_path):
    folder = tmp_path / "data" / "raw" / "movielens"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(archive())) as file:
        for name in ("ratings.csv", "movies.csv"):
            (folder / name).write_bytes(file.read(f"ml-test/{name}"))
    with pytest.raises(DataError, match="never overwritten"):
        data.fetch("movielens", root=tmp_path)


def test_a_release_that_is_none_is_refused_by_name(served, tmp_path):
    with pytest.raises(UsageError, match="there are: ml-test"):
        data.fetch("movielens", "ml-1b", tmp_path)


def test_what_needs_a_login_is_explained(tmp_path):
    with pytest.raises(UsageError, match=r"(?s)kaggle.*data/raw/lending_club"):
        data.fetch("lending_club", root=tmp_path)


def test_status_of_an_empty_project(tmp_path):
    entries = {entry["domain"]: entry for entry in data.status(PARAMS, tmp_path)}
    assert set(entries) == set(shipped())
    assert not any(entry["is_present"] or entry["problem"] for entry in entries.values())
    assert entries["hotel_bookings"]["how_to_get"] == "run: escalometer data fetch hotel_bookings"


def test_two_editions_at_once_are_a_problem_in_words(tmp_path):
    ingest.run("movielens", tmp_path)
    folder = tmp_path / "data" / "raw" / "movielens"
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4,1\n")
    (folder / "movies.csv").write_text("movieId,title,genres\n1,A (1999),Drama\n")
    (entry,) = data.status(PARAMS, tmp_path, ["movielens"])
    assert "2 editions" in entry["problem"]
    with pytest.raises(DataError, match="2 editions"):
        ingest.run("movielens", tmp_path)


def real(name):
    folder = SHARED / "data" / name
    if not folder.exists():
        pytest.skip("../shared/data is not there: recorded data are not part of this project")
    plugin = catalog.load(name)
    params = PARAMS.model_copy(update={"sample": SampleParams()})
    return sample_scenarios(plugin, stage_table(plugin, params, folder), params)


def test_hotel_bookings_give_the_published_percentages():
    found = {
        row["condition"]: (row["n_all_agreeing"], row["n_all"], row["published_accuracy"])
        for row in real("hotel_bookings").conditions
    }
    assert len(found) == 10
    for agreeing, n, published in found.values():
        assert round(100 * agreeing / n) == round(100 * published)


def test_lending_club_samples_come_near_the_published_percentages():
    many = [row for row in real("lending_club").conditions if row["n_all"] >= 800]
    assert len(many) >= 7
    for row in many:
        percent = 100 * row["n_all_agreeing"] / row["n_all"]
        assert percent == pytest.approx(100 * row["published_accuracy"], abs=3)
