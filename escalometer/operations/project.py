"""A project of one's own: its files, written once, compared with the installed version's later.

`escalometer.json` in the project records the version that wrote the files, a digest of the code
that its stages run, and the digest of each file as it was written. dvc.yaml of the project depends
on the code's digest in place of source files, so that stages run again after an upgrade.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from escalometer import __version__, layout, resources
from escalometer.config import adopt_card, load_params
from escalometer.errors import UsageError
from escalometer.layout import PARAMS_FILE, PIPELINE_FILE, RECORD_FILE
from escalometer.pipeline import set_up
from escalometer.resources import is_clone, resource
from escalometer.runtime.extras import is_installed
from escalometer.runtime.files import read_json, write_json
from escalometer.runtime.git import start_repository

#: The example's domain, and its files.
EXAMPLE = "support_tickets"
_EXAMPLE_FILES = (f"{EXAMPLE}.yaml", f"{EXAMPLE}_generated.csv")

#: Endings of the files that determine what stages compute.
_CODE = (".py", ".sql", ".j2", ".json")


class _Record(BaseModel):
    """The content of escalometer.json."""

    model_config = ConfigDict(extra="ignore")

    version: str
    code: str
    files: dict[str, str]


@dataclass
class Changes:
    """Changes that `init` made, or with `is_applied` false would make.

    Attributes
    ----------
    root : Path
        The project.
    written : list of str
        Files that were absent.
    replaced : list of str
        Files of an older version that nobody had edited.
    edited : list of str
        Files that a person has edited, and that this version would write otherwise. They stay.
    notes : list of str
        What a person should know.
    previous : str
        The version that wrote the project; empty where there was no project.
    is_applied : bool
        False if files of an older version wait for `--upgrade`.
    """

    root: Path
    written: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    previous: str = ""
    is_applied: bool = True


def code_digest() -> str:
    """Return a digest of the installed package's code, statements and suites."""
    combined = hashlib.sha256()
    folders = (resources.package(), resource("sql"), resource("expectations"), resource("flows"))
    for folder in folders:
        for suffix in _CODE:
            for name, file in resources.walk(folder, suffix):
                if name.startswith("_resources/"):
                    continue
                content = file.read_bytes()
                combined.update(f"{name} {len(content)}\n".encode() + content)
    return combined.hexdigest()


def check_code(root: Path) -> None:
    """Refuse to run the stages of a project that another version of the package set up.

    Its results would be taken for those of the installed code. A clone, and a project without
    escalometer.json, depend on source files instead.

    Raises
    ------
    UsageError
        If the version or the code differs; the message says what to do.
    """
    record = _recorded(root)
    if record is None or record.code == code_digest():
        return
    _refuse_newer(record, root)
    raise UsageError(
        f"{root.resolve()} was set up by escalometer {record.version}, and this is {__version__} "
        "with other code: `escalometer init --upgrade` lets the stages depend on it"
    )


def prepare(models: Sequence[str], root: Path) -> None:
    """Check the version of a project, and copy the built-in cards of models into it.

    Raises
    ------
    UsageError
        As `check_code`.
    """
    check_code(root)
    if _recorded(root) is not None:
        for model in models:
            adopt_card(model, layout.cards_folder(root))


def init(root: Path, with_example: bool = False, upgrade: bool = False) -> Changes:
    """Create a project in a folder, or bring one up to date; files of others are not touched.

    Parameters
    ----------
    root : Path
        The folder; it is made where it does not exist.
    with_example : bool
        Whether the project gets the example domain `support_tickets`.
    upgrade : bool
        Whether files that an older version wrote are replaced, where nobody edited them.

    Raises
    ------
    UsageError
        If the folder cannot be written, is the repository of escalometer, has a params.yaml or
        dvc.yaml of something else, or a newer version made the project.
    """
    try:
        return _init(root, with_example, upgrade)
    except OSError as error:
        raise UsageError(
            f"{error.filename or root} cannot be written: {error.strerror or error}; choose "
            "another folder, or change its permissions"
        ) from error


def _init(root: Path, with_example: bool, upgrade: bool) -> Changes:
    if is_clone() and root.resolve() == Path(resource()).resolve():  # type: ignore[arg-type]
        raise UsageError(f"{root.resolve()} is escalometer's repository: a project already")
    record = _recorded(root)
    if record is None:
        _refuse_others(root)
    else:
        _refuse_newer(record, root)
    if root.is_dir() and not os.access(root, os.W_OK | os.X_OK):
        raise UsageError(
            f"{root.resolve()} cannot be written: choose another folder, or change its permissions"
        )
    files = _files(with_example, root)
    known = {} if record is None else record.files
    digest = code_digest()
    is_older = record is not None and (record.version != __version__ or record.code != digest)
    changes = Changes(root, previous=record.version if record else "")
    changes.is_applied = upgrade or not is_older
    digests = dict(known)
    for name, content in files.items():
        path = root / name
        if not path.exists():
            changes.written.append(name)
        elif path.read_bytes() == content:
            digests[name] = _sha256(content)
            continue
        elif name in known and known[name] == _sha256(path.read_bytes()):
            changes.replaced.append(name)
        else:
            if name in known and known[name] != _sha256(content):
                changes.edited.append(name)
            continue
        if changes.is_applied:
            _write(path, content)
            digests[name] = _sha256(content)
    if ".gitignore" not in digests:
        ignored = files[".gitignore"].decode().splitlines()
        changes.notes.append(
            ".gitignore was there and stays as it is; these lines keep data out of git: "
            + ", ".join(text for text in ignored if not text.startswith("!"))
        )
    if not changes.is_applied:
        return changes
    for name in changes.edited:  # for a comparison by the person
        _write(root / f"{name}.new", files[name])
        digests[name] = _sha256(files[name])
    new = {"version": __version__, "code": digest, "files": dict(sorted(digests.items()))}
    if record is None or new != record.model_dump():
        write_json(new, root / RECORD_FILE)
    changes.notes += start_repository(root)
    if is_installed("dvc"):
        set_up(root)
    else:
        changes.notes.append(
            "DVC is not installed: import, profile, compare, gate and report work without it. "
            "Before `escalometer evaluate`: pip install 'escalometer[pipeline]', then "
            "`escalometer init` again"
        )
    for model in load_params(root / PARAMS_FILE).models:
        adopt_card(model, layout.cards_folder(root))
    return changes


def _recorded(root: Path) -> _Record | None:
    path = root / RECORD_FILE
    if not path.exists():
        return None
    try:
        return _Record.model_validate(read_json(path))
    except ValidationError as error:
        raise UsageError(
            f"{path} is damaged: restore it from git, or remove it and run `escalometer init`"
        ) from error


def _refuse_others(root: Path) -> None:
    """Refuse a folder in which another program's pipeline is, before anything is written."""
    ours = [_files(with_example, root) for with_example in (False, True)]
    for file in (PARAMS_FILE, PIPELINE_FILE):
        path = root / file
        if path.exists() and path.read_bytes() not in [files[file.name] for files in ours]:
            if layout.find_root(root.resolve()) == root.resolve():
                raise UsageError(
                    f"{root.resolve()} has a pipeline of escalometer, but no {RECORD_FILE}: it is "
                    "a clone, or that file was removed. Restore it from git, or choose another "
                    "folder"
                )
            raise UsageError(
                f"{path} exists and is not escalometer's: choose another folder, such as "
                f"`escalometer init {root / 'escalation'}`"
            )


def _refuse_newer(record: _Record, root: Path) -> None:
    if _numbers(record.version) > _numbers(__version__):
        raise UsageError(
            f"{root.resolve()} was set up by escalometer {record.version}, newer than this "
            f"one ({__version__}): install that version, e.g. `pip install --upgrade escalometer`"
        )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


def _files(with_example: bool, root: Path) -> dict[str, bytes]:
    """Return the files of a project by name, as this version writes them."""
    params = resource("params.yaml").read_bytes()
    files = {
        PARAMS_FILE.name: params,
        PIPELINE_FILE.name: pipeline().encode(),
        "prefect.yaml": resource("prefect.yaml").read_bytes(),
        ".gitignore": _template("gitignore"),
        ".dvcignore": b"__pycache__/\n*.pyc\n*.partial\n",
        "README.md": _template("README.md"),
        "data/README.md": _template("data.md"),
        "domains/README.md": resource("domains", "README.md").read_bytes(),
        "expectations/README.md": _template("expectations.md"),
        "prompts/README.md": resource("prompts", "README.md").read_bytes(),
        "models/README.md": resource("models", "README.md").read_bytes(),
    }
    if with_example:
        domains = f"domains: [{EXAMPLE}]".encode()
        files[PARAMS_FILE.name] = params.replace(b"domains: [movielens]", domains)
        for name in _EXAMPLE_FILES:
            files[f"domains/{name}"] = resource("examples", EXAMPLE, name).read_bytes()
    if (root / PARAMS_FILE).exists() and (root / RECORD_FILE).exists():
        del files[PARAMS_FILE.name]  # a person's settings from the first day on
    return files


def _template(name: str) -> bytes:
    return resources.package().joinpath("operations", "project_files", name).read_bytes()


def pipeline() -> str:
    """Return dvc.yaml with the code's digest in place of source files."""
    lines = [
        "# The pipeline: brought up to date by `dvc repro` or `escalometer evaluate`.",
        f"# Stages depend on the code of the installed package by its digest in {RECORD_FILE}.",
    ]
    # By lines, so that comments stay; params, where a stage has them, stand before its deps.
    has_params = False
    text = resource(PIPELINE_FILE.name).read_text(encoding="utf-8")
    for line in text[text.index("vars:") :].splitlines():
        entry = line.strip()
        if entry.startswith(("- escalometer/", "- sql/")):
            continue
        if entry == "params:":
            has_params = True
        elif entry == "deps:":
            margin = line.partition("deps:")[0]
            lines += [] if has_params else [f"{margin}params:"]
            lines += [f"{margin}  - {RECORD_FILE}:", f"{margin}      - code"]
            has_params = False
        lines.append(line)
    return "\n".join(lines) + "\n"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def described(changes: Changes) -> Mapping[str, Any]:
    """Return what `init` did as JSON takes it."""
    return {
        "root": str(changes.root.resolve()),
        "version": __version__,
        "previous_version": changes.previous or None,
        "is_applied": changes.is_applied,
        "written": changes.written,
        "replaced": changes.replaced,
        "edited": changes.edited,
        "notes": changes.notes,
    }
