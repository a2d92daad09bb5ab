"""The table of a user's domain on object storage, and its copy next to the YAML file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from escalometer.errors import UsageError
from escalometer.runtime import object_storage
from escalometer.runtime.files import digest, read_json, replacing, write_json
from escalometer.runtime.object_storage import S3Address

_RECORD = "fetched.json"


def copy_of(path: Path, address: S3Address) -> Path:
    """Return where the table that the YAML file `path` names is copied to.

    It is next to the YAML file, where DVC notices that it changes, and git ignores it.
    """
    return path.parent / f"{path.stem}.fetched" / address.name


def is_current(path: Path, address: S3Address) -> bool:
    """Return whether there is a copy of the table at this address."""
    record = copy_of(path, address).parent / _RECORD
    if not (record.exists() and copy_of(path, address).exists()):
        return False
    return bool(read_json(record).get("address") == str(address))


def fetch(path: Path, address: S3Address) -> Path:
    """Copy the table from object storage, in place of an earlier copy, and return the copy.

    Raises
    ------
    UsageError
        If there is no such object, credentials do not allow it, or the copy cannot be written.
    Outage
        If the storage cannot be reached.
    """
    if address.is_folder:
        raise UsageError(f"{path}: `file` is the folder {address}; name one table in it")
    print(f"fetching {address} …", file=sys.stderr)
    target = copy_of(path, address)
    try:
        with (
            object_storage.opened(address) as source,
            replacing(target) as partial,
            partial.open("wb") as copy,
        ):
            shutil.copyfileobj(source, copy, 1 << 20)
        record = {"address": str(address), "sha256": digest(target)}
        write_json(record, target.parent / _RECORD)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}") from error
    return target
