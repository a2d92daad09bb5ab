"""`escalometer init`: a project of one's own, made once, upgraded later, never in the way."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from escalometer import __version__
from escalometer.errors import UsageError
from escalometer.operations import project
from escalometer.pipeline import stage_addresses
from tests.command_line import run


def content(root: Path) -> dict[str, bytes]:
    """Every file of a project by name, git's and DVC's own aside."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".git/" not in str(path) and "tmp" not in path.relative_to(root).parts
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder whose name has a space, a quote and a letter that is not ASCII."""
    return tmp_path / "tick'ets ä"


def test_it_creates_a_project_and_twice_is_harmless(root):
    done = run(root.parent, "init", str(root), "--example")
    assert done.returncode == 0, done.stderr
    assert "Created the project" in done.stdout
    before = content(root)
    assert {"params.yaml", "dvc.yaml", "README.md", ".gitignore", ".dvc/config"} <= set(before)
    assert "domains/support_tickets.yaml" in before
    assert len(before["README.md"].splitlines()) <= 25
    assert b"# scenarios drawn for each condition" in before["params.yaml"]  # with its comments
    assert b"analytics = False" in before[".dvc/config"]
    assert {"models/smollm2-135m-instruct.yaml", "models/smollm2-135m-escalates.yaml"} <= set(
        before
    )
    again = run(root, "init")
    assert again.returncode == 0, again.stderr
    assert "up to date" in again.stdout
    assert content(root) == before


def test_dvc_reads_the_pipeline_and_no_stage_depends_on_source_files(root):
    run(root.parent, "init", str(root))
    stages = yaml.safe_load((root / "dvc.yaml").read_text("utf-8"))["stages"]
    for stage in stages.values():
        definition = stage.get("do", stage)
        assert {"escalometer.json": ["code"]} in definition["params"]
        assert not [dep for dep in definition["deps"] if dep.startswith(("escalometer/", "sql/"))]
    assert "track@smollm2-135m-escalates" in stage_addresses(root)


def test_other_files_in_the_folder_are_not_touched(root):
    root.mkdir()
    for name in ("README.md", ".gitignore", "notes.txt", "model.py"):
        (root / name).write_text("mine\n", "utf-8")
    done = run(root, "init", "--json")
    assert done.returncode == 0, done.stderr
    assert {name: (root / name).read_text("utf-8") for name in ("README.md", ".gitignore")} == {
        "README.md": "mine\n",
        ".gitignore": "mine\n",
    }
    found = json.loads(done.stdout)
    assert "README.md" not in found["written"]
    assert any(".gitignore was there" in note for note in found["notes"])
    assert run(root, "init", "--upgrade").returncode == 0
    assert (root / "README.md").read_text("utf-8") == "mine\n"


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml"])
def test_the_pipeline_of_something_else_is_refused(root, name):
    root.mkdir()
    (root / name).write_text("stages: {}\n", "utf-8")
    done = run(root, "init")
    assert done.returncode == 3
    assert "is not escalometer's: choose another folder" in done.stderr
    assert [path.name for path in root.iterdir()] == [name]


def test_the_repository_itself_is_refused(clone):
    done = run(clone, "init")
    assert done.returncode == 3
    assert "it is a clone" in done.stderr


def test_a_folder_that_cannot_be_made_exits_3(tmp_path):
    (tmp_path / "file").write_text("x", "utf-8")
    done = run(tmp_path, "init", "file/project")
    assert done.returncode == 3
    assert "choose another folder" in done.stderr


def _set_record(root: Path, **changes: object) -> None:
    path = root / "escalometer.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def test_a_project_of_a_newer_version_is_refused(root):
    run(root.parent, "init", str(root))
    _set_record(root, version="99.0.0", code="other")
    before = content(root)
    for arguments in (["init"], ["init", "--upgrade"], ["stage", "ingest", "--cell", "movielens"]):
        done = run(root, *arguments)
        assert done.returncode == 3
        assert "newer than this" in done.stderr
    assert content(root) == before


def test_an_older_project_is_upgraded_where_nobody_edited_it(root, monkeypatch):
    run(root.parent, "init", str(root))
    files = project._files(False, root)
    monkeypatch.setattr(
        project,
        "_files",
        lambda *_: {name: text + b"\n# new\n" for name, text in files.items()},
    )
    monkeypatch.setattr(project, "code_digest", lambda: "another")
    (root / "README.md").write_text("edited\n", "utf-8")
    before = content(root)
    refused = run(root, "stage", "ingest", "--cell", "movielens")
    assert refused.returncode == 3
    assert "escalometer init --upgrade" in refused.stderr

    done = run(root, "init")
    assert done.returncode == 0, done.stderr
    assert "--upgrade would change:" in done.stdout
    assert "dvc.yaml" in done.stdout
    assert content(root) == before

    done = run(root, "init", "--upgrade")
    assert done.returncode == 0, done.stderr
    after = content(root)
    assert after["dvc.yaml"] == files["dvc.yaml"] + b"\n# new\n"
    assert after["README.md"] == b"edited\n"
    assert after["README.md.new"] == files["README.md"] + b"\n# new\n"
    assert after["params.yaml"] == before["params.yaml"]
    assert json.loads(after["escalometer.json"])["code"] == "another"
    project.check_code(root)
    assert "up to date" in run(root, "init").stdout


def test_a_damaged_record_is_named(root):
    run(root.parent, "init", str(root))
    (root / "escalometer.json").write_text("{}", "utf-8")
    with pytest.raises(UsageError, match="damaged"):
        project.check_code(root)


def test_it_goes_on_after_a_kill(root):
    """Its files are written before the record: a second run finds them and completes the rest."""
    root.mkdir()
    for name, text in list(project._files(True, root).items())[:3]:
        (root / name).write_bytes(text)
    done = run(root, "init", "--example")
    assert done.returncode == 0, done.stderr
    record = json.loads((root / "escalometer.json").read_text("utf-8"))
    assert record["version"] == __version__
    assert set(record["files"]) == set(project._files(True, Path("absent")))


def test_below_a_git_repository_and_from_a_subfolder(root):
    root.mkdir()
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    below = root / "escalation"
    assert run(root, "init", "escalation").returncode == 0
    assert not (below / ".git").exists()
    assert (below / ".dvc" / "config").exists()
    done = run(below / "domains", "domains", "list")
    assert done.returncode == 0, done.stderr
    assert run(below / "domains", "init").stdout.startswith(f"{below.resolve()} is a project")


def test_the_digest_of_the_code_follows_the_code(monkeypatch, tmp_path):
    first = project.code_digest()
    assert project.code_digest() == first
    (tmp_path / "a.py").write_text("x = 1\n", "utf-8")
    monkeypatch.setattr(project.resources, "package", lambda: tmp_path)
    second = project.code_digest()
    (tmp_path / "a.py").write_text("x = 2\n", "utf-8")
    assert len({first, second, project.code_digest()}) == 3
