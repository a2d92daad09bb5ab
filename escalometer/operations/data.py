"""The raw files of domains: fetching public ones, and the status of each domain.

No stage of the pipeline: a user decides when to fetch a file, and the pipeline reads data/raw.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from escalometer import layout
from escalometer.cases import catalog, provenance, raw_files
from escalometer.cases.domains import Domain, Download
from escalometer.cases.scenarios import sample_scenarios
from escalometer.cases.staging import stage_table
from escalometer.config import Params
from escalometer.errors import DataError, UsageError
from escalometer.runtime.files import digest, read_json, replacing, write_json
from escalometer.stages import ingest

#: A computed percentage that is further than this from the published one is pointed out.
FAR_POINTS = 3


def fetch(domain: str, release: str | None = None, root: Path = Path()) -> dict[str, Any]:
    """Download a domain's public files into data/raw/<domain>/ and return their provenance.

    The table of a user's domain is fetched again where it is on object storage.

    The download itself is kept in data/downloads/<domain>/, where DVC tracks it by its address.

    Parameters
    ----------
    domain : str
        Name of the domain.
    release : str, optional
        Which of its releases; the first by default.
    root : Path, default the working folder
        The project.

    Raises
    ------
    UsageError
        If there is no such domain or release, or its files need a login: the message says where
        they are and where to put them.
    DataError
        If a file is not what was published, or files of the user's own are in the way.
    ProviderError
        If the server cannot be reached; the next attempt resumes the download.
    """
    catalog.refresh(domain, root)
    plugin = catalog.load(domain, root)
    folder = layout.raw_folder(domain, root)
    wanted = _downloads(plugin, release)
    if not wanted:
        if not any(edition.bring for edition in plugin.editions):
            raise UsageError(f"{domain} cannot be fetched: {provenance.how_to_get(plugin)}")
        ingest.run(domain, root)
        return read_json(layout.provenance_file(domain, root))
    from escalometer.cases.downloads import download, unpack
    from escalometer.pipeline import track_download

    _refuse_to_overwrite(plugin, folder, root)
    paths = []
    for item in wanted:
        path = layout.downloads_folder(domain, root) / item.file
        download(item.url, path, n_bytes=item.n_bytes, checksum=item.checksum)
        if (root / ".dvc").is_dir():
            track_download(item.url, path, root)
        paths.append(path)
    _clear(folder)
    brought = provenance.fetched(domain, root)
    for item, path in zip(wanted, paths, strict=True):
        if item.members:
            unpack(path, {name: folder / name for name in item.members})
        else:
            _link(path, folder / item.file)
        for name in item.members or (item.file,):
            brought[digest(folder / name)] = item.release
    write_json(brought, layout.fetched_file(domain, root))
    ingest.run(domain, root)
    return read_json(layout.provenance_file(domain, root))


def _downloads(plugin: Domain, release: str | None) -> list[Download]:
    downloads = [item for edition in plugin.editions for item in edition.downloads]
    if release is None and downloads:
        release = downloads[0].release
    matching = [item for item in downloads if item.release == release]
    if release is not None and not matching:
        names = ", ".join(dict.fromkeys(item.release for item in downloads)) or "none"
        raise UsageError(f"{plugin.name} has no release {release!r}; there are: {names}")
    return matching


def _refuse_to_overwrite(plugin: Domain, folder: Path, root: Path) -> None:
    """Refuse to replace files that the user supplied."""
    edition = raw_files.present(plugin, folder)
    if edition is None:
        return
    supplied = [
        f["file"]
        for f in provenance.describe(plugin, edition, provenance.fetched(plugin.name, root))[
            "files"
        ]
        if f["origin"] == provenance.SUPPLIED
    ]
    if supplied:
        raise DataError(
            f"{folder} contains unknown files ({', '.join(supplied)}): move them away first; "
            "they are never overwritten"
        )


def _clear(folder: Path) -> None:
    for path in raw_files.data_files(folder):
        path.unlink()


def _link(source: Path, target: Path) -> None:
    with replacing(target) as partial:
        partial.unlink(missing_ok=True)
        try:
            os.link(source, partial)  # no second copy of the bytes where the disk allows it
        except OSError:
            shutil.copy2(source, partial)


def status(params: Params, root: Path = Path(), only: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the status of each domain's data.

    Parameters
    ----------
    params : Params
        Uses `seed` and `sample`, for the percentages.
    root : Path, default the working folder
        The project.
    only : sequence of str
        Only these domains; all by default.

    Returns
    -------
    list of dict
        For each domain `domain`, `title`, `is_present`, `problem` (None, or what is wrong in
        words), `how_to_get`; where it is present `edition`, `release`, `is_derived`, `licence`,
        `decisions_of`, `files` (with `n_rows` and `sha256`) and `conditions`: per cent computed on
        all rows and on the signal split, as published, and whether one of them `is_far` from it.
    """
    return [_status(name, params, root) for name in only or catalog.names(root)]


def _status(name: str, params: Params, root: Path) -> dict[str, Any]:
    plugin = catalog.load(name, root)
    folder = layout.raw_folder(name, root)
    entry: dict[str, Any] = {
        "domain": name,
        "title": plugin.title,
        "is_present": False,
        "problem": None,
        "how_to_get": provenance.how_to_get(plugin),
        "ships": any(edition.bring for edition in plugin.editions),
    }
    print(f"reading {name} …", file=sys.stderr)
    try:
        edition = raw_files.present(plugin, folder)
        if edition is None:
            return entry
        description = provenance.describe(plugin, edition, provenance.fetched(name, root))
        entry |= {
            "is_present": True,
            "edition": description["edition_name"],
            "release": description["release"],
            "is_derived": description["is_derived"],
            "licence": description["licence"],
            "decisions_of": description["decisions_of"],
            "files": description["files"],
        }
        every = params.model_copy(
            update={"sample": params.sample.model_copy(update={"n_conditions": None})}
        )
        sampled = sample_scenarios(plugin, stage_table(plugin, params, folder), every)
    except DataError as error:
        return entry | {"problem": str(error)}
    entry["n_cases"] = sampled.cases.num_rows
    entry["n_scenarios"] = len(sampled.scenarios)
    entry["conditions"] = [_compared(row) for row in sampled.conditions]
    entry["notes"] = list(sampled.notes)
    return entry


def _compared(row: dict[str, Any]) -> dict[str, Any]:
    on_all = 100 * row["n_all_agreeing"] / row["n_all"]
    on_signal = 100 * row["n_agreeing"] / row["n_signal"]
    published = row["published_accuracy"]
    far = published is not None and any(
        abs(percent - 100 * published) > FAR_POINTS for percent in (on_all, on_signal)
    )
    return {
        "condition": row["condition"],
        "n_all": row["n_all"],
        "percent_all": round(on_all, 2),
        "n_signal": row["n_signal"],
        "percent_signal": round(on_signal, 2),
        "percent_published": None if published is None else round(100 * published),
        "is_far": far,
    }
