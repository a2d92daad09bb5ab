"""The installer: pip's settings carried over to uv, and one line for each failure."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import install

LISTING = """\
:env:.find-links='/ignored/here'
global.extra-index-url='https://one.example/simple https://two.example/simple'
global.find-links='/wheels'
global.index-url='https://user:secret@index.example/simple'
global.trusted-host='index.example'
"""


def test_pips_indexes_and_links_are_carried_over() -> None:
    found = install.uv_environment(install.pip_options(LISTING, {}), {"HOME": "/"})
    assert found["UV_DEFAULT_INDEX"] == "https://user:secret@index.example/simple"
    assert found["UV_INDEX"] == "https://one.example/simple https://two.example/simple"
    assert found["UV_FIND_LINKS"] == "/wheels"
    assert found["UV_INSECURE_HOST"] == "index.example"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_the_environment_takes_precedence_over_pips_files() -> None:
    given = {"PIP_FIND_LINKS": "/a /b", "PIP_INDEX_URL": "https://other.example/simple"}
    found = install.uv_environment(install.pip_options(LISTING, given), {"HOME": "/"})
    assert found["UV_FIND_LINKS"] == "/a,/b"
    assert found["UV_DEFAULT_INDEX"] == "https://other.example/simple"


def test_uvs_own_settings_are_kept() -> None:
    mine = {"HOME": "/", "UV_DEFAULT_INDEX": "https://mine.example/simple"}
    found = install.uv_environment(install.pip_options(LISTING, {}), mine)
    assert found["UV_DEFAULT_INDEX"] == "https://mine.example/simple"


def test_caches_go_where_the_person_says_or_nowhere(tmp_path: Path) -> None:
    found = install.uv_environment({}, {"HOME": "/", "ESCALOMETER_CACHE": str(tmp_path)})
    assert found["UV_CACHE_DIR"] == str(tmp_path / "uv")
    missing = str(tmp_path / "absent")  # a home that cannot be written
    assert install.uv_environment({}, {"HOME": missing})["UV_NO_CACHE"] == "1"
    assert "UV_NO_CACHE" not in install.uv_environment({}, {"HOME": str(tmp_path)})


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (2, 7)])
def test_another_python_is_refused_with_what_to_do(version: tuple[int, int]) -> None:
    with pytest.raises(install.SetupError, match=r"3\.11 to 3\.14 is needed.*make PYTHON="):
        install.check_python(version)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14)])
def test_the_versions_of_the_lock_are_accepted(version: tuple[int, int]) -> None:
    install.check_python(version)


def test_an_environment_of_the_persons_is_refused_and_kept(tmp_path: Path) -> None:
    venv = tmp_path / ".venv"
    install.check_venv(venv)
    venv.mkdir()
    install.check_venv(venv)
    (venv / "pyvenv.cfg").touch()
    with pytest.raises(install.SetupError, match="was not made by this set-up: move or remove"):
        install.check_venv(venv)
    assert (venv / "pyvenv.cfg").exists()
    (venv / install.BEGUN).touch()  # a set-up of ours that was killed
    install.check_venv(venv)


@pytest.mark.parametrize(("value", "is_set"), [("0", False), ("false", False), ("1", True)])
def test_no_index_is_set_only_where_pip_has_it_on(value: str, is_set: bool) -> None:
    found = install.uv_environment({"no-index": value}, {"HOME": "/"})
    assert ("UV_NO_INDEX" in found) is is_set


def test_too_little_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(install.SetupError, match=r"needs 1e\+09 GB and the disk of .* free some"):
        install.check_disk(tmp_path, 1e9)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("error: failed to write: No space left on device (os error 28)", "the disk is full"),
        ("  ├─▶ error sending request for url (https://a:b@x.example/simple)", "does not answer"),
        ("error: Read-only file system (os error 30) at path /home/x", "ESCALOMETER_CACHE"),
        ("  cause: Because torch==2.13.0 has no wheels with a matching tag", "PYTHON=python3.12"),
        ("Something else\nwent wrong", "went wrong"),
    ],
)
def test_a_failure_is_one_line_without_credentials(output: str, words: str) -> None:
    line = install.explain(output)
    assert words in line
    assert "\n" not in line
    assert "a:b" not in line


def _wheel(folder: Path) -> Path:
    """A wheel of a package `tin` in `folder`."""
    path = folder / "tin-1.0-py3-none-any.whl"
    info = "tin-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tin.py", "")
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tin\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path):
    """A package index on loopback with the package `tin`: its address and the wheel."""
    folder = tmp_path / "simple" / "tin"
    folder.mkdir(parents=True)
    wheel = _wheel(folder)
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/simple", wheel
    server.shutdown()


def _uv(index: str, lock: Path, target: Path) -> None:
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet"]
    options = ["--no-deps", "--require-hashes", "--target", str(target), "-r", str(lock)]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    environment = install.uv_environment({"index-url": index}, {**kept, "UV_NO_CACHE": "1"})
    install.run([*uv, *options], environment)


def test_a_wrong_hash_installs_nothing_and_says_so(index, tmp_path: Path) -> None:
    address, wheel = index
    lock, target = tmp_path / "lock.txt", tmp_path / "target"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock.write_text(f"tin==1.0 --hash=sha256:{digest}\n")
    _uv(address, lock, target)
    assert (target / "tin.py").exists()
    lock.write_text(f"tin==1.0 --hash=sha256:{'0' * 64}\n")
    other = tmp_path / "other"
    with pytest.raises(install.SetupError, match="does not have the hash in the lock file"):
        _uv(address, lock, other)
    assert not (other / "tin.py").exists()


def test_an_index_that_does_not_answer_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"tin==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(install.SetupError, match="the package index does not answer"):
        _uv("http://127.0.0.1:9/simple", lock, tmp_path / "target")


def test_the_locks_name_no_index_and_hash_every_package() -> None:
    for name in ("requirements.lock", "requirements-core.lock", "requirements-uv.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        entries = [line for line in text.splitlines() if line[:1].isalnum()]
        assert entries
        assert all("==" in line and line.endswith("\\") for line in entries)
        assert not any(line.startswith("torch==") for line in entries)


def test_an_old_python_stops_before_anything_is_made(tmp_path: Path) -> None:
    script = (ROOT / "tools" / "install.py").read_text(encoding="utf-8")
    (tmp_path / "tools").mkdir()
    copy = tmp_path / "tools" / "install.py"
    copy.write_text(script.replace("OLDEST, NEWEST = (3, 11)", "OLDEST, NEWEST = (3, 99)"))
    done = subprocess.run([sys.executable, str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Python 3.99 to ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / ".venv").exists()
