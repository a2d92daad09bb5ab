"""Packings: names in any casing, damage in any place."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from escalometer.cases import raw_files
from escalometer.cases.domains import RawTable
from escalometer.errors import DataError
from escalometer.warehouse.table_files import opened

ROWS = RawTable("rows", {"n": "INTEGER"})
CONTENT = b"n\n" + b"".join(b"%d\n" % (i * 7919 % 10007) for i in range(20000))


def unpacked(folder: Path) -> bytes:
    raw = raw_files.table_file(ROWS, folder)
    assert raw is not None
    with opened(raw) as path:
        assert path.name.lower() == "rows.csv"
        return path.read_bytes()


def zipped(member: str = "rows.csv") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, CONTENT)
    return packed.getvalue()


def tarred(mode: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        member = tarfile.TarInfo("rows.csv")
        member.size = len(CONTENT)
        archive.addfile(member, io.BytesIO(CONTENT))
    return packed.getvalue()


WHOLE = {
    "ROWS.CSV": CONTENT,
    "Rows.csv.GZ": gzip.compress(CONTENT),
    "ROWS.ZIP": zipped("ROWS.CSV"),
    "Rows.Zip": zipped("Rows.csv"),
    "rows.TAR.GZ": tarred("w:gz"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_endings_count_in_any_casing(name, tmp_path):
    (tmp_path / name).write_bytes(WHOLE[name])
    assert unpacked(tmp_path) == CONTENT


TO_DAMAGE = {
    "rows.csv.gz": gzip.compress(CONTENT),
    "rows.zip": zipped(),
    "rows.tar.gz": tarred("w:gz"),
    "rows.tar": tarred("w:xz"),
}


@pytest.mark.parametrize("name", TO_DAMAGE)
def test_damage_is_said_wherever_it_is(name, tmp_path):
    path, data = tmp_path / name, TO_DAMAGE[name]
    for place in range(0, len(data), max(1, len(data) // 60)):
        damaged = bytes(255 - byte for byte in data[place : place + 9])
        path.write_bytes(data[:place] + damaged + data[place + 9 :])
        try:
            found = raw_files.table_file(ROWS, tmp_path)
            if found is not None:  # else it is the name inside that is damaged
                assert unpacked(tmp_path) == CONTENT
        except DataError as error:
            assert name in str(error)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="download it again"):
        unpacked(tmp_path)
