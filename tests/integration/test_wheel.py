"""The wheel and the source archive: complete, of one version, and usable in any folder."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from escalometer import __version__
from tests.command_line import environment
from tests.conftest import ROOT, tiny_card

pytestmark = pytest.mark.slow

#: Top-level folders whose tracked files the wheel has under escalometer/_resources.
SHIPPED = ("sql", "models", "expectations", "flows", "examples")


def git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both archives."""
    out = tmp_path_factory.mktemp("dist")
    before = git("status", "--porcelain")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert git("status", "--porcelain") == before
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, as an installation lays them out."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)  # noqa: S202 (our own)
    return folder


def run(package: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command of a package, outside of the clone."""
    return subprocess.run(
        [sys.executable, "-m", "escalometer", *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(package)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_has_the_code_and_every_resource(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = git("ls-files").splitlines()
    missing = []
    for name in tracked:
        top = name.split("/")[0]
        if top in SHIPPED or name in (
            "dvc.yaml",
            "params.yaml",
            "domains/README.md",
            "prompts/README.md",
        ):
            missing += [name] if f"escalometer/_resources/{name}" not in names else []
        elif top == "escalometer":
            missing += [name] if name not in names else []
    assert missing == []
    others = {name.split("/")[0] for name in names} - {"escalometer"}
    assert others == {f"escalometer-{__version__}.dist-info"}  # no package `flows` beside it


def test_the_source_archive_builds_the_same_wheel(built, wheel, tmp_path):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path)  # noqa: S202 (our own)
    [source] = tmp_path.iterdir()
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", str(tmp_path / "d")]
    subprocess.run([*build, str(source)], capture_output=True, check=True)
    [again] = (tmp_path / "d").glob("*.whl")
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()


def test_version_changelog_command_and_wheel_agree(wheel, unpacked, tmp_path):
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## (\d+\.\d+\.\d+) - ", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__
    assert f"-{__version__}-" in wheel.name
    assert run(unpacked, tmp_path, "--version").stdout.endswith(f"version {__version__}\n")


@pytest.mark.parametrize("is_zipped", [False, True])
def test_built_in_cards_and_domains_are_listed_in_any_folder(unpacked, wheel, tmp_path, is_zipped):
    folder = tmp_path / "an ä 'empty' folder"
    folder.mkdir()
    package = wheel if is_zipped else unpacked
    models = run(package, folder, "models", "list")
    assert models.returncode == 0, models.stderr
    assert "smollm2-135m-instruct\tlocal\t" in models.stdout
    assert len(models.stdout.splitlines()) == len(list((ROOT / "models").glob("*.yaml")))
    domains = run(package, folder, "domains", "list")
    assert "movielens\tMovieLens\t10 conditions\tbuilt in" in domains.stdout
    assert list(folder.iterdir()) == []


def test_own_files_are_laid_over_the_built_in_ones(unpacked, tmp_path):
    assert run(unpacked, tmp_path, "init").returncode == 0
    card = tmp_path / "models" / "gpt-5-mini.yaml"
    built_in = (ROOT / "models" / "gpt-5-mini.yaml").read_text("utf-8")
    card.write_text(re.sub(r"title: .*", "title: Ours", built_in), "utf-8")
    (tmp_path / "models" / "ours.yaml").write_text(
        re.sub(r"^id: .*", "id: ours", built_in, flags=re.MULTILINE), "utf-8"
    )
    listed = {
        line.split("\t")[0]: line.split("\t")[3:]
        for line in run(unpacked, tmp_path, "models", "list").stdout.splitlines()
    }
    assert listed["gpt-5-mini"] == ["Ours", "own, in place of a built-in one"]
    assert listed["ours"][1] == "own"
    assert listed["smollm2-135m-instruct"][1] == "built in"  # a copy: the project's stages use it
    assert listed["gpt-5-nano"][1] == "built in"


@pytest.mark.parametrize(
    ("other", "said"),
    [("gpt-5-mini.yml", "rename it"), ("smollm2-135m-instruct.yml", "remove one of them")],
)
def test_two_files_of_one_name_are_refused(unpacked, tmp_path, other, said):
    assert run(unpacked, tmp_path, "init").returncode == 0
    (tmp_path / "models" / other).write_text("id: x\n", "utf-8")
    done = run(unpacked, tmp_path, "models", "list")
    assert done.returncode == 3
    assert said in done.stderr


def test_an_own_domain_may_have_the_name_of_a_built_in_one(unpacked, tmp_path):
    assert run(unpacked, tmp_path, "init", "--example").returncode == 0
    domains = tmp_path / "domains"
    (domains / "support_tickets.yaml").rename(domains / "movielens.yaml")
    listed = run(unpacked, tmp_path, "domains", "list").stdout
    assert "movielens\tSupport tickets\tlearned conditions\town, in place of a built-in" in listed


def test_from_init_to_a_gate_as_installed(unpacked, tmp_path, tiny_weights):
    """The support tickets, in folders below a project: evaluate, `dvc repro`, gate."""
    root = tmp_path / "tick'ets ä"
    assert run(unpacked, tmp_path, "init", str(root), "--example").returncode == 0
    card = tiny_card(tiny_weights)
    (root / "models" / "tiny.yaml").write_text(yaml.safe_dump(card), "utf-8")
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    params["sample"] |= {"n_per_condition": 2, "n_conditions": 2}
    params["query"]["max_tokens"] = 4
    params["analyze"]["n_bootstrap"] = 100
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")
    done = run(unpacked, root / "domains", "evaluate", "tiny")
    assert done.returncode == 0, done.stderr
    assert "Escalation profile of tiny" in done.stdout
    assert (root / "data" / "report" / "index.html").exists()
    assert (root / "mlflow.db").exists()
    lock = (root / "dvc.lock").read_bytes()
    repro = subprocess.run(
        ["dvc", "repro"],
        cwd=root,
        env=environment(PYTHONPATH=str(unpacked)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert repro.returncode == 0, repro.stderr
    assert "up to date" in repro.stdout
    assert (root / "dvc.lock").read_bytes() == lock
    gate = run(unpacked, root / "data", "gate", "tiny", "--junit", "gate.xml")
    assert gate.returncode in (1, 2), gate.stderr
    assert (root / "data" / "gate.xml").exists()  # in the caller's folder
    stranger = subprocess.run(  # what a person would commit: no data, no answers
        ["git", "-C", str(root), "ls-files", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "data/README.md" in stranger
    assert "parquet" not in stranger
    assert "sqlite" not in stranger
