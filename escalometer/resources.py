"""Resources: the built-in statements, cards, suites, flows, default parameters and pipeline.

In a clone they are folders and files at the top level; in an installed package the build has put
them into `escalometer/_resources`. Nothing else knows which of the two it is.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

_CLONE = Path(__file__).resolve().parent.parent


def is_clone() -> bool:
    """Return whether the package runs from a clone of the repository."""
    return (_CLONE / "dvc.yaml").is_file() and (_CLONE / "sql").is_dir()


def package() -> Traversable:
    """Return the folder of the package's code."""
    return importlib.resources.files("escalometer")


def resource(*names: str) -> Traversable:
    """Return a built-in file or folder.

    Parameters
    ----------
    *names : str
        Its path, a name each: ``resource("sql", "metrics")``.

    Returns
    -------
    importlib.resources.abc.Traversable
        A `pathlib.Path`, but in a zipped wheel, whose files have no path.
    """
    root: Traversable = _CLONE
    if not is_clone():
        root = package() / "_resources"
    return root.joinpath(*names)


def folder_path(*names: str) -> Path:
    """Return a built-in folder as a path, for what must be a file of its own: weights, scripts.

    Raises
    ------
    FileNotFoundError
        In a zipped wheel.
    """
    found = resource(*names)
    if not isinstance(found, Path):
        raise FileNotFoundError(f"{'/'.join(names)} is in a zipped package: install it")
    return found


def files(folder: Traversable, suffix: str) -> list[Traversable]:
    """Return the files in a folder whose names end with `suffix`, in the order of their names."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(
        (file for file in found if file.name.endswith(suffix)), key=lambda file: file.name
    )


def walk(folder: Traversable, suffix: str, within: str = "") -> Iterator[tuple[str, Traversable]]:
    """Yield each file below a folder whose name ends with `suffix`, with its path from there."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from walk(entry, suffix, f"{within}{entry.name}/")
        elif entry.name.endswith(suffix):
            yield f"{within}{entry.name}", entry


def stem(file: Traversable) -> str:
    """Return a file's name without its last suffix."""
    return file.name.rpartition(".")[0] or file.name
