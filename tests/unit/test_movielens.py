"""MovieLens: two editions to the same pairs, in two orders, bounded, and as published."""

import csv
import itertools
import re
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from escalometer import warehouse
from escalometer.cases import catalog, form_leaks, raw_files
from escalometer.cases.domains import movielens
from escalometer.cases.staging import stage_cases
from tests.conftest import SHARED

DOMAIN = catalog.load("movielens")
REAL = SHARED / "data" / "movielens"
GENRES = ("Action", "Comedy|Drama", "Drama|War", "Film-Noir", "(no genres listed)", "Sci-Fi|War")
MOVIE = r"(?P<{0}>.+) \((\d{{4}}); (.+)\), average (?P<{0}_average>\d\.\d\d) from ([\d,]+) ratings"
TEXT = re.compile(
    f"First movie: {MOVIE.format('first')}\nSecond movie: {MOVIE.format('second')}\n"
    r"The viewer loves (?P<liked>.+) and (?P<other>.+)\."
)


def write_csv(path: Path, header: str, rows: list[tuple]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header.split(","), *rows])


def make_ratings(n_users: int, n_movies: int, n_each: int, seed: int = 3) -> list[tuple]:
    """User, movie, rating, time: each user rates `n_each` movies, better ones higher."""
    random = np.random.default_rng(seed)
    quality = np.linspace(1.2, 4.4, n_movies)
    rows = []
    for user in range(1, n_users + 1):
        for movie in sorted(random.choice(n_movies, n_each, replace=False)):
            rating = np.clip(round(2 * (quality[movie] + random.normal(0, 1))) / 2, 0.5, 5)
            rows.append((user, int(movie) + 1, float(rating), 10**9 + user))
    return rows


def make_movies(n_movies: int) -> list[tuple[int, str, int, str]]:
    movies = [
        (i, f"Tale {i}, The" if i % 2 else f"Le récit n° {i} (Tale {i})", 1950 + i, GENRES[i % 6])
        for i in range(1, n_movies + 1)
    ]
    movies[1] = (2, "Tale 1, The", 1984, "War")  # of the same title as another
    return movies


def write_grouplens(folder: Path, ratings: list[tuple], movies: list[tuple]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "ratings.csv", "userId,movieId,rating,timestamp", ratings)
    rows = [(i, f"{title} ({year})" if year else title, g) for i, title, year, g in movies]
    write_csv(folder / "movies.csv", "movieId,title,genres", rows)
    return folder


def write_dslabs(folder: Path, ratings: list[tuple], movies: list[tuple]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    known = {movie[0]: movie for movie in movies}
    rows = [(*known[movie], user, rating, time) for user, movie, rating, time in ratings]
    rows = [(i, title, year, g, *rest) for i, title, year, g, *rest in rows]
    header = "movieId,title,year,genres,userId,rating,timestamp"
    write_csv(folder / "movielens_ratings.csv", header, rows)
    return folder


def staged(folder: Path, is_balanced: bool = False, n_threads: int = 2) -> list[dict]:
    found = raw_files.present(DOMAIN, folder)
    with warehouse.connect(n_threads) as connection:
        for raw_table in found.edition.raw_tables:
            warehouse.load_raw(connection, raw_table, found.files[raw_table.name])
        values = {"is_balanced": is_balanced}
        return stage_cases(connection, DOMAIN, found.edition.name, values).to_pylist()


def agrees(case: dict) -> bool:
    return case["label"] == case["expected_label"]


@pytest.fixture(scope="module")
def ratings() -> list[tuple]:
    return make_ratings(80, 60, 45)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ratings) -> Path:
    return write_grouplens(tmp_path_factory.mktemp("made"), ratings, make_movies(60))


@pytest.fixture(scope="module")
def cases(folder) -> list[dict]:
    return staged(folder)


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    if not REAL.exists():
        pytest.skip("../shared/data/movielens is not there: its rows are not part of this project")
    folder = tmp_path_factory.mktemp("real")
    for name in ("ratings.csv.gz", "movies.csv.gz"):
        shutil.copy(REAL / name, folder)
    return folder


@pytest.fixture(scope="module")
def embedded(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("embedded")
    movielens.fetch(folder)
    return folder


def test_both_editions_give_the_same_cases(cases, ratings, tmp_path):
    assert len(cases) > 2000
    assert staged(write_dslabs(tmp_path, ratings, make_movies(60))) == cases


def test_a_case_is_what_the_ratings_say(cases, ratings):
    rated = {
        (user, movie): (rating, row + 2) for row, (user, movie, rating, _) in enumerate(ratings)
    }
    by_movie = defaultdict(list)
    for _, movie, rating, _ in ratings:
        by_movie[movie].append(rating)
    for case in cases:
        user, first, second = map(int, case["case_id"].split("-"))
        assert (user, first, second) == (
            case["user_id"], case["first_movie_id"], case["second_movie_id"]
        )  # fmt: skip
        assert case["split_key"] == str(user)
        one, other = rated[user, first][0], rated[user, second][0]
        assert one != other
        assert case["label"] == case["prefers_higher"] == (one > other)
        assert case["expected_label"] == 1
        assert case["source_row"] == rated[user, first][1]
        for place, movie in (("first", first), ("second", second)):
            n, total = len(by_movie[movie]), sum(by_movie[movie])
            assert case[f"{place}_n_ratings"] == n >= 20
            assert abs(case[f"{place}_average"] - total / n) <= 0.00501
        assert case["difference"] == round(case["first_average"] - case["second_average"], 2) > 0
        assert case["years_between"] == abs(case["first_year"] - case["second_year"])
        assert case["is_higher_newer"] == (case["first_year"] > case["second_year"])
    assert len({case["case_id"] for case in cases}) == len(cases)
    assert [case["case_id"] for case in cases] == sorted(case["case_id"] for case in cases)


def test_the_text_states_what_conditions_use(cases):
    for case in cases:
        text = DOMAIN.render(case)
        found = TEXT.fullmatch(text)
        assert found and text.isascii()
        averages = float(found["first_average"]), float(found["second_average"])
        assert case["difference"] == round(abs(averages[0] - averages[1]), 2)
        assert {case["higher_average"], case["lower_average"]} == set(averages)
        genres = [
            set(case[f"{place}_genres"].split(", ")) - {"no genres listed"}
            for place in ("first", "second")
        ]
        assert case["shares_genre"] == bool(genres[0] & genres[1])
        for place in ("first", "second"):
            assert f"from {case[f'{place}_n_ratings']:,} ratings" in text


def test_the_viewers_sentence_names_neither_movie(cases):
    for case in cases:
        found = TEXT.fullmatch(DOMAIN.render(case))
        assert len({found["first"], found["second"], found["liked"], found["other"]}) == 4
        assert len(case["favorites"]) == 2


def test_favorites_are_the_users_best_others(cases, ratings):
    rated = defaultdict(dict)
    titles = {i: case for case in cases for i, case in (
        (case["first_movie_id"], case["first_title"]),
        (case["second_movie_id"], case["second_title"]),
    )}  # fmt: skip
    for user, movie, rating, _ in ratings:
        if movie in titles:
            best = rated[user].get(titles[movie], 0)
            rated[user][titles[movie]] = max(best, rating)
    for case in cases[::7]:
        own = {case["first_title"], case["second_title"]}
        others = sorted(
            (value for title, value in rated[case["user_id"]].items() if title not in own),
            reverse=True,
        )
        named = [rated[case["user_id"]][title] for title in case["favorites"]]
        assert named == others[:2]


def test_each_case_falls_into_one_bin_of_five_a_user(cases):
    names = [condition.name for condition in DOMAIN.conditions]
    assert names[0] == "under_0.05" and names[-1] == "over_2.00" and len(names) == 10
    assert [condition.published for condition in DOMAIN.conditions] == [
        51, 55, 61, 67, 73, 80, 85, 89, 91, 94
    ]  # fmt: skip
    edges = [0, *map(float, movielens.EDGES), 9]
    counts = Counter()
    for case in cases:
        bins = [low <= case["difference"] < high for low, high in itertools.pairwise(edges)]
        assert sum(bins) == 1
        counts[case["user_id"], bins.index(True)] += 1
    assert max(counts.values()) == 5
    assert len({bin_ for _, bin_ in counts}) == 10


def test_a_balanced_order_turns_half_of_the_pairs_and_keeps_every_percentage(folder, cases):
    balanced = staged(folder, is_balanced=True)
    assert [case["case_id"] for case in balanced] == [case["case_id"] for case in cases]
    n_turned = 0
    for old, new in zip(cases, balanced, strict=True):
        assert agrees(old) == agrees(new)
        is_turned = new["expected_label"] == 0
        n_turned += is_turned
        assert new["label"] == (1 - old["label"] if is_turned else old["label"])
        other = {"first": "second", "second": "first"}
        for place in ("first", "second"):
            source = other[place] if is_turned else place
            for name in ("movie_id", "title", "year", "genres", "average", "n_ratings"):
                assert new[f"{place}_{name}"] == old[f"{source}_{name}"]
        for name in (
            "difference", "higher_average", "lower_average", "higher_n_ratings", "lower_n_ratings",
            "years_between", "is_higher_newer", "shares_genre", "favorites", "prefers_higher",
            "source_row",
        ):  # fmt: skip
            assert new[name] == old[name]
    assert abs(n_turned / len(cases) - 0.5) < 4 * 0.5 / len(cases) ** 0.5
    turned = [case["prefers_higher"] for case in balanced if not case["expected_label"]]
    kept = [case["prefers_higher"] for case in balanced if case["expected_label"]]
    assert abs(np.mean(turned) - np.mean(kept)) < 0.05  # blind to what was decided


def test_the_number_of_threads_changes_nothing(folder, cases):
    assert staged(folder, n_threads=1) == cases


def test_the_number_of_cases_is_bounded(tmp_path):
    folder = write_grouplens(tmp_path, make_ratings(2300, 30, 12), make_movies(30))
    cases = staged(folder)
    users = Counter(case["user_id"] for case in cases)
    assert 1900 < len(users) <= 2000
    assert max(users.values()) <= 50
    assert max(users) > 2200  # drawn by a hash, not the first ones


def test_averages_are_over_all_ratings_of_movies_with_twenty(tmp_path):
    ratings = make_ratings(25, 12, 12)
    few = [row for row in ratings if row[1] != 3 or row[0] <= 19]
    cases = staged(write_grouplens(tmp_path, few, make_movies(12)))
    ids = {case[f"{place}_movie_id"] for case in cases for place in ("first", "second")}
    assert ids and 3 not in ids


@pytest.mark.parametrize(
    ("published", "title", "year"),
    [
        ("Harbour, The (1999)", "The Harbour", 1999),
        ("Ville, La (City, The) (1999) ", "La Ville", 1999),
        ("Été d'Amélie, L' (1971)", "Ete d'Amelie, L'", 1971),
        ("Seven ½ (2001)", "Seven 1/2", 2001),
        ("Long Series (2006–2007)", "Long Series", 2006),
        ("Long Series (2006-)", "Long Series", 2006),
        ('Lamp "Nine" (2010)', "Lamp 'Nine'", 2010),
        ("2001 (and more) (1968)", "2001", 1968),
        ("(Un)kind (2010)", "(Un)kind", 2010),
        ("NA (2010)", "NA", 2010),
        ("Fly. DECISION: 0 (2010)", "Fly. DECISION - 0", 2010),
    ],
)
def test_titles_are_as_one_would_say_them(published, title, year, tmp_path):
    movies = [(i, f"Tale {i} (2000)", None, "Drama") for i in range(1, 7)]
    movies[0] = (1, published, None, "Drama")
    cases = staged(write_grouplens(tmp_path, make_ratings(25, 6, 6), movies))
    [found] = {
        (TEXT.fullmatch(DOMAIN.render(case))[place], case[f"{place}_year"])
        for case in cases
        for place in ("first", "second")
        if case[f"{place}_movie_id"] == 1
    }
    assert found == (title, year)


@pytest.mark.parametrize("title", ["A Series", "Ирония (1975)", "", "12 (19)"])
def test_movies_without_a_year_or_a_latin_letter_are_left_out(title, tmp_path):
    movies = [(i, f"Tale {i} (2000)", None, "Drama") for i in range(1, 7)]
    movies[0] = (1, title, None, "Drama")
    cases = staged(write_grouplens(tmp_path, make_ratings(25, 6, 6), movies))
    assert cases
    assert 1 not in {case[f"{place}_movie_id"] for case in cases for place in ("first", "second")}


def test_the_answer_itself_reaches_no_text_and_no_condition():
    assert DOMAIN.private_columns == {"prefers_higher"}
    for condition in DOMAIN.conditions:
        assert "prefers" not in condition.predicate and "label" not in condition.predicate
    assert not {feature.column for feature in DOMAIN.features} & {"label", "prefers_higher"}


def test_the_signal_holds_in_either_order():
    condition = DOMAIN.conditions[1]
    signal = DOMAIN.signal_template.format(
        phrase=condition.phrase, percent=55, outcome=DOMAIN.expected_outcome
    )
    assert signal == (
        "A decision tree on past ratings finds: where the two average ratings differ by 0.05 to "
        "0.15, 55% rated the movie with the higher average higher."
    )


def test_both_releases_of_grouplens_can_be_fetched():
    grouplens = next(edition for edition in DOMAIN.editions if edition.name == "grouplens")
    assert [download.release for download in grouplens.downloads] == ["ml-latest-small", "ml-25m"]
    stems = {stem for table in grouplens.raw_tables for stem in table.stems}
    for download in grouplens.downloads:
        assert {Path(member).stem for member in download.members} == stems
        assert download.url.endswith(f"/{download.file}")


def test_every_bin_of_the_embedded_edition_has_hundreds_of_cases_of_many_users(embedded):
    cases = staged(embedded)
    assert 10_000 <= len(cases) <= 30_000
    assert_as_published(cases)


def assert_as_published(cases: list[dict]) -> None:
    """Every condition with 800 cases comes within 3 points of the published percentage."""
    edges = [0, *map(float, movielens.EDGES), 9]
    for low, high, published in zip(edges, edges[1:], movielens.PUBLISHED, strict=False):
        under = [case for case in cases if low <= case["difference"] < high]
        users = Counter(case["user_id"] for case in under)
        assert len(under) > 300 and len(users) > 100 and max(users.values()) <= 5
        percent = 100 * sum(map(agrees, under)) / len(under)
        assert len(under) < 800 or abs(percent - published) <= 3


def test_percentages_of_ml_latest_small_are_the_published_ones(real):
    cases = staged(real)
    assert 20_000 <= len(cases) <= 30_000
    assert_as_published(cases)
    lengths = [len(DOMAIN.render(case)) for case in cases[::20]]
    assert sum(lengths) / len(lengths) < 300


@pytest.mark.parametrize("is_balanced", [False, True])
def test_the_way_a_text_is_written_does_not_tell_the_label(is_balanced, embedded):
    cases = staged(embedded, is_balanced)
    found = form_leaks.estimate_leak(
        [DOMAIN.render(case) for case in cases],
        [case["label"] for case in cases],
        groups=[case["split_key"] for case in cases],
        max_rows=3000,
    )
    assert not found.is_leak, found
