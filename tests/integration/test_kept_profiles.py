"""Profiles of imported sources that are kept: never stale, and never in the way."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from escalometer import layout, resources
from escalometer.config import Params, load_params
from escalometer.documents import Profile
from escalometer.operations import (
    import_decisions,
    recorded_sources,
    source_profiles,
)
from escalometer.operations.kept_profiles import Asked, Keeper
from tests.conftest import ROOT

SOURCE = "theirs"
MODELS = ("a/b", "a", "a-b")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a source of three models on two domains."""
    for name in ("expectations", "sql"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    rows = [
        {
            "model": model,
            "domain": domain,
            "condition": f"c{condition}",
            "scenario_id": f"{domain}{condition}{i}",
            "signal_accuracy": 0.6 + 0.1 * condition,
            "has_signal": has_signal,
            "label": i % 2,
            "prediction": i % 2 if (i * 7 + place) % 10 < 6 + condition else 1 - i % 2,
            "escalate": int((i * 3 + place) % 10 < 7 - 2 * condition),
        }
        for place, model in enumerate(MODELS)
        for domain in ("movielens", "tickets")
        for condition in range(3)
        for has_signal in (True, False)
        for i in range(20)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    import_decisions.run(tmp_path / "rows.parquet", SOURCE, tmp_path, False, lambda _: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def n_computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose profiles were computed in this process, in their order."""
    seen: list[str] = []
    build = source_profiles.build_profile_of_file

    def counted(*arguments, **options) -> Profile:
        seen.append(arguments[1])
        return build(*arguments, **options)

    monkeypatch.setattr(source_profiles, "build_profile_of_file", counted)
    monkeypatch.setattr(source_profiles, "n_processors", lambda: 1)
    return seen


def _params(**analyze) -> Params:
    params = load_params(Path("params.yaml"))
    settings = params.analyze.model_copy(update={"n_bootstrap": 100, **analyze})
    return params.model_copy(update={"analyze": settings})


def _profile(model: str = "a", **options) -> Profile:
    return recorded_sources.profile(model, SOURCE, options.pop("params", _params()), **options)


def _entries(model: str) -> list[Path]:
    pattern = f"{model.replace('/', '%2F')}-profile-*.json"
    return sorted(layout.kept_profiles_folder(SOURCE).glob(pattern))


def test_a_profile_is_computed_once_and_read_back_unchanged(project, n_computed):
    first = _profile()
    assert n_computed == ["a"]
    assert _profile() == first
    assert n_computed == ["a"]
    assert first.as_json() == _profile().as_json()


@pytest.mark.parametrize("model", MODELS)
def test_models_of_similar_names_keep_their_own(project, n_computed, model):
    for other in MODELS:
        assert _profile(other).model == other
    assert _profile(model).model == model
    assert n_computed == list(MODELS)
    assert [len(_entries(other)) for other in MODELS] == [1, 1, 1]


def test_every_setting_of_the_profile_counts(project, n_computed):
    asked = [
        {},
        {"params": _params(cost_ratios=(3.0, 7.0))},
        {"params": _params(human_error_rate=0.1)},
        {"params": _params(n_bootstrap=110)},
        {"params": _params().model_copy(update={"seed": 99})},
        {"domains": ["movielens"]},
        {"is_pooled": True},
        {"domains": ["tickets"], "is_pooled": True},
    ]
    found = [_profile(**one) for one in asked]
    assert len(n_computed) == len(asked)
    assert len({json.dumps(profile.as_json()) for profile in found}) == len(asked)


def test_other_settings_take_the_place_of_the_last_ones(project, n_computed):
    _profile()
    before = _entries("a")
    _profile(domains=["movielens"])
    assert len(_entries("a")) == 2  # another question
    _profile(params=_params(human_error_rate=0.1))
    assert len(_entries("a")) == 2
    assert not before[0].exists()


def test_replaced_decisions_are_measured_anew(project, n_computed):
    before = _profile()
    path = layout.source_decisions_file(SOURCE)
    table = pq.ParquetFile(path).read()
    table = table.slice(0, table.num_rows - 1).slice(1)
    pq.write_table(table, path)
    assert _profile("a-b").n_decisions == 239
    assert _profile().as_json() == before.as_json()  # the rows that are gone are of others
    assert n_computed == ["a", "a-b", "a"]


def test_decisions_of_the_same_size_and_time_are_noticed(project, n_computed):
    _profile()
    path = layout.source_decisions_file(SOURCE)
    was = path.stat()
    content = bytearray(path.read_bytes())
    place = content.index(b"DuckDB version")  # who wrote it: no row depends on it
    content[place] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)
    _profile()
    assert n_computed == ["a", "a"]


@pytest.mark.parametrize("name", ["sql/metrics/statuses.sql", "package/analysis/extra.py"])
def test_changed_code_computes_anew(project, n_computed, monkeypatch, name):
    package = project / "package"
    (package / "analysis").mkdir(parents=True)
    (package / "analysis" / "extra.py").write_text("A = 1\n")
    monkeypatch.setattr(resources, "package", lambda: package)
    monkeypatch.setattr(resources, "resource", project.joinpath)
    _profile()
    path = project / name
    path.write_text(path.read_text("utf-8") + ("-- " if name.startswith("sql") else "B = 2"))
    _profile()
    assert n_computed == ["a", "a"]


def test_nothing_is_kept_if_the_decisions_change_while_they_are_measured(project):
    keeper, asked = Keeper(SOURCE, ("movielens", "tickets")), Asked(SOURCE, "a", _params())
    found = source_profiles.computed(asked, Path())
    path = layout.source_decisions_file(SOURCE)
    pq.write_table(pq.ParquetFile(path).read().slice(1), path)
    keeper.write(asked, found)
    assert not _entries("a")


@pytest.mark.parametrize("damage", ["", "{", '{"sha256": "0"}', "[]", "changed", "\0"])
def test_a_damaged_entry_is_computed_anew(project, n_computed, damage):
    before = _profile()
    [path] = _entries("a")
    text = path.read_text("utf-8")
    path.write_text(
        text.replace('"n_usable": 240', '"n_usable": 241') if damage == "changed" else damage
    )
    assert _profile() == before
    assert n_computed == ["a", "a"]
    assert path.read_text("utf-8") == text


def test_a_folder_that_cannot_be_written_is_no_error(project, n_computed):
    folder = layout.kept_profiles_folder(SOURCE)
    folder.write_text("a file in the way")
    assert _profile() == _profile()
    assert n_computed == ["a", "a"]


def test_the_second_report_computes_nothing_and_is_the_same(project, n_computed):
    page = recorded_sources.report(SOURCE, _params())
    first = page.read_bytes()
    assert n_computed == sorted(MODELS)
    assert recorded_sources.report(SOURCE, _params()).read_bytes() == first
    _profile()
    assert n_computed == sorted(MODELS)


def test_figures_are_drawn_for_a_profile_that_is_kept(project, n_computed):
    for model in MODELS:
        _profile(model)
    page = recorded_sources.report(SOURCE, _params()).read_text("utf-8")
    assert n_computed == list(MODELS)
    assert page.count("<svg") == 2 * len(MODELS)


def test_processes_find_the_same_as_one(project, monkeypatch):
    params = _params()
    asked = [Asked(SOURCE, model, params) for model in MODELS]
    keeper = Keeper(SOURCE, ("movielens", "tickets"))
    together = source_profiles.drawn_profiles(asked, keeper, n_processes=2)
    shutil.rmtree(layout.kept_profiles_folder(SOURCE))
    assert source_profiles.drawn_profiles(asked, keeper, n_processes=1) == together


@pytest.mark.parametrize("error", [BrokenProcessPool("killed"), OSError(12, "no memory")])
def test_without_a_further_process_this_one_computes(project, n_computed, monkeypatch, error):
    def broken(asked, missing, root, n_processes):
        place = next(iter(missing))
        yield place, source_profiles._drawn(asked[place], None, root)
        raise error

    monkeypatch.setattr(source_profiles, "_in_processes", broken)
    monkeypatch.setattr(source_profiles, "n_processors", lambda: 4)
    recorded_sources.report(SOURCE, _params())
    assert n_computed == sorted(MODELS)
