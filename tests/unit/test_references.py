"""Every path and module that is named in a text of the repository exists."""

from __future__ import annotations

import ast
import io
import posixpath
import re
import subprocess
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import PurePosixPath

import pytest

from tests.conftest import ROOT

PACKAGE = "escalometer"
#: Dated records: the files they name may have been moved since.
RECORDS = {"docs/log.md"}
#: Files of other repositories that are cited.
ELSEWHERE = {"review/reviewer1.md", "reviewer2.md", "scripts/fig5_pstar_ahat.py"}
#: Written by the pipeline, by commands or by the user; not in git.
GENERATED = (
    "docs/_build*",
    "*gate.md",  # of the examples of CI jobs
    "data/*",
    "escalometer/_resources*",
    "domains/<name>.yaml",
    "domains/NAME.yaml",
    "expectations/README.md",  # of a project of one's own
    "domains/tickets.yaml",
    "models/NAME.yaml",
    "models/inspect-PROVIDER-MODEL.yaml",
    "models/adapters*",
)
#: Suffixes of the files that are searched, and of named files that must exist. Runs write Parquet,
#: CSV and JSON files, but none with these suffixes.
SUFFIXES = {".md", ".py", ".yaml", ".yml", ".sql", ".toml", ".j2"}

_START = r"(?<![\w./<>{}$~:@\\-])"
_PATH = re.compile(rf"{_START}[\w<][\w.<>*-]*(?:/[\w.<>*-]+)*/?")
_FOLDER = re.compile(r"`([\w-]+)/`")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_MODULE = re.compile(rf"`({PACKAGE}(?:\.\w+)+)")
_PLACEHOLDER = re.compile(r"<[^>]*>|(?<=/)\.\*")


@cache
def tracked() -> tuple[str, ...]:
    """Return the paths of the files that are in git or not ignored by it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("this copy of the repository has no git history")
    return tuple(path for path in done.stdout.splitlines() if (ROOT / path).is_file())


@cache
def existing() -> frozenset[str]:
    """Return the paths of all files and folders in git."""
    files = tracked()
    folders = {str(folder) for path in files for folder in PurePosixPath(path).parents}
    return frozenset(files) | folders


@cache
def basenames() -> frozenset[str]:
    """Return the names of all files and folders in git, without their paths."""
    return frozenset(PurePosixPath(path).name for path in existing())


@cache
def first_folders() -> frozenset[str]:
    """Return the folders that a path may start with: those of the root and of the package."""
    parts = [PurePosixPath(path).parts for path in tracked()]
    inner = {path[1] for path in parts if path[0] == PACKAGE and len(path) > 2}
    return frozenset(path[0] for path in parts if len(path) > 1) | inner


def texts(path: str) -> Iterator[tuple[int, str]]:
    """Yield line numbers and texts: comments and strings of Python files, every line of others.

    Strings in tests name files of temporary projects, so only comments and docstrings are used.
    """
    source = (ROOT / path).read_text("utf-8")
    if not path.endswith(".py"):
        yield from enumerate(source.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if path.startswith("tests/"):
            documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            if isinstance(node, documented) and (docstring := ast.get_docstring(node)):
                yield getattr(node, "lineno", 1), docstring
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def sources() -> list[str]:
    return [
        path
        for path in tracked()
        if (PurePosixPath(path).suffix in SUFFIXES or path == "Makefile") and path not in RECORDS
    ]


def is_checked(name: str) -> bool:
    """Return whether a name must be a file or folder of this repository."""
    if PurePosixPath(name).suffix in SUFFIXES:
        return not name.startswith("<")
    return "/" in name and name.split("/")[0] in first_folders()


def exists(name: str, source: str) -> bool:
    """Return whether a path exists from the root, from its text's folder or from the package.

    Text in angle brackets and asterisks match anything.
    """
    if name in ELSEWHERE or ("/" not in name and name in basenames()):
        return True
    beside = posixpath.normpath(PurePosixPath(source).parent / name)  # resolves ".."
    places = {name, beside, f"{PACKAGE}/{name}"}
    if any(fnmatchcase(place, pattern) for place in places for pattern in GENERATED):
        return True
    if places & existing():
        return True
    patterns = [_PLACEHOLDER.sub("*", place) for place in places if _PLACEHOLDER.search(place)]
    patterns += [place for place in places if "*" in place]
    return any(fnmatchcase(path, pattern) for pattern in patterns for path in existing())


def stale_paths(source: str, text: str) -> list[str]:
    """Return the paths in a text that do not exist."""
    found = [match.group().rstrip("./") for match in _PATH.finditer(text)]
    stale = [name for name in found if is_checked(name) and not exists(name, source)]
    stale += [name for name in _FOLDER.findall(text) if not exists(name, source)]
    if source.endswith(".md"):
        links = [link for link in _LINK.findall(text) if "://" not in link]
        stale += [link for link in links if not exists(link.rstrip("/"), source)]
    return stale


def stale_modules(text: str) -> list[str]:
    """Return the dotted names in a text that are neither a module nor a name in a module."""
    stale = []
    for match in _MODULE.finditer(text):
        path, rest = PACKAGE, match.group(1).split(".")[1:]
        while rest and (f"{path}/{rest[0]}" in existing() or f"{path}/{rest[0]}.py" in existing()):
            path, rest = f"{path}/{rest[0]}", rest[1:]
        file = f"{path}.py" if f"{path}.py" in existing() else f"{path}/__init__.py"
        is_file = rest and f".{rest[0]}" in {*SUFFIXES, ".json"}
        if rest and not is_file and not re.search(rf"\b{rest[0]}\b", (ROOT / file).read_text()):
            stale.append(match.group(1))
    return stale


def test_every_path_named_in_a_text_exists():
    stale = [
        f"{source}:{line}: {name}"
        for source in sources()
        for line, text in texts(source)
        for name in stale_paths(source, text)
    ]
    assert not stale, "\n".join(stale)


def test_every_module_named_in_a_text_exists():
    stale = [
        f"{source}:{line}: {name}"
        for source in sources()
        for line, text in texts(source)
        for name in stale_modules(text)
    ]
    assert not stale, "\n".join(stale)


def test_agents_describes_every_folder_and_module_at_the_top_of_the_package():
    text = (ROOT / "AGENTS.md").read_text("utf-8")
    tops = {path for path in existing() if PurePosixPath(path).parent == PurePosixPath(PACKAGE)}
    tops -= {
        f"{PACKAGE}/{name}" for name in ("__init__.py", "__init__.pyi", "__main__.py", "py.typed")
    }
    assert {top for top in tops if f"`{top}" not in text} == set()


@pytest.mark.parametrize(
    "text",
    [
        "see `docs/no_such_page.md`",
        "interface.md names the columns",
        "[cards](models/NO_SUCH.md)",
        "`escalometer/providers/<name>.py`",
        "`analysis/no_such_module.py: WORSE`",
        "the statements under sql/no_such_folder",
        "only in `no_such_room/`",
    ],
)
def test_a_stale_path_is_reported(text):
    assert stale_paths("README.md", text)


@pytest.mark.parametrize(
    "text",
    [
        "[cards](models/README.md), `sql/metrics/<name>.sql`, docs/decisions/README.md.",
        "`analysis/gate.py`, `domains/<name>.yaml`, data/raw/<domain>/, and/or, 1/R, n/a",
        "https://example.org/docs/absent.md and `OWNER/NAME@COMMIT`",
    ],
)
def test_an_existing_path_is_not_reported(text):
    assert stale_paths("README.md", text) == []


def test_a_stale_module_is_reported():
    assert stale_modules("`escalometer.dialogue.parsing.marker_pattern`") == []
    assert stale_modules("`escalometer.providers`") == ["escalometer.providers"]
    assert stale_modules("`escalometer.errors.NoSuchError`") == ["escalometer.errors.NoSuchError"]
