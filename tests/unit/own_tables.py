"""Tables of tickets as somebody might bring them, and the file that makes a domain of one."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from escalometer import warehouse
from escalometer.cases.own_domain import build
from escalometer.cases.raw_files import present
from escalometer.cases.staging import stage_cases

MINIMAL = """
file: t.csv
decider: the lead
label: {column: refunded, outcomes: {no: not refunded, yes: refunded}}
scenario: "Ticket about {topic}, {months} months, {amount} dollars, premium {premium}."
"""
HEADER = ["topic", "months", "amount", "premium", "comment", "refunded"]


def rows(n: int = 200, seed: int = 1) -> list[list[str]]:
    """Made-up tickets, about half of them refunded, by topic and months with noise."""
    draw = random.Random(seed)  # noqa: S311
    made = []
    for i in range(n):
        topic, months = draw.choice(["billing", "delivery", "quality"]), draw.randrange(60)
        chance = 0.9 if topic == "quality" else 0.2 + months / 100
        premium = draw.choice(["yes", "no"])
        refunded = "yes" if draw.random() < chance else "no"
        amount = f"{draw.random() * 300:.2f}"
        made.append([topic, str(months), amount, premium, f"words {i} of mine", refunded])
    return made


def as_csv(table: list[list[str]], header=HEADER, sep: str = ",") -> str:
    return "".join(sep.join(row) + "\n" for row in [header, *table])


def write(folder: Path, text: str = MINIMAL, table: str | bytes | None = None, name: str = "t.csv"):
    data = as_csv(rows()) if table is None else table
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    path = folder / "my_tickets.yaml"
    path.write_text(text, "utf-8")
    return path


def staged(path: Path, folder: Path) -> list[dict]:
    """The staged rows, all the way that the pipeline goes."""
    domain = build.load(path)
    domain.editions[0].bring(folder)
    found = present(domain, folder)
    with warehouse.connect() as connection:
        for table in found.edition.raw_tables:
            warehouse.load_raw(connection, table, found.files[table.name])
        return stage_cases(connection, domain, "own").to_pylist()


def _zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner.csv", text)
    return buffer.getvalue()


def _parquet(table: list[list[str]]) -> bytes:
    values = dict(zip(HEADER, zip(*table, strict=True), strict=True))
    made = pa.table(
        {
            "topic": pa.array(values["topic"]).dictionary_encode(),
            "months": pa.array([int(v) for v in values["months"]], pa.int32()),
            "amount": pa.array([float(v) for v in values["amount"]]),
            "premium": pa.array([v == "yes" for v in values["premium"]]),
            "comment": pa.array([[v] for v in values["comment"]]),
            "refunded": pa.array([float(v == "yes") for v in values["refunded"]]),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(made, buffer)
    return buffer.getvalue()


PACKINGS = {
    "t.csv": lambda t: as_csv(t).encode(),
    "bom.csv": lambda t: b"\xef\xbb\xbf" + as_csv(t).encode(),
    "crlf.csv": lambda t: as_csv(t).replace("\n", "\r\n").encode(),
    "quoted.csv": lambda t: as_csv(
        [[f'"{v}"' for v in row] for row in t], [f'"{h}"' for h in HEADER]
    ).encode(),
    "semicolon.csv": lambda t: as_csv(t, sep=";").encode(),
    "bars.csv": lambda t: as_csv(t, sep="|").encode(),
    "tabs.csv": lambda t: as_csv(t, sep="\t").encode(),
    "t.tsv": lambda t: as_csv(t, sep="\t").encode(),
    "spaces.csv": lambda t: as_csv(t, [f" {h} " for h in HEADER]).encode(),
    "strangers.csv": lambda t: as_csv(
        [[*row, "a", "b", ""] for row in t], [*HEADER, "x", "x", ""]
    ).encode(),
    "blank.csv": lambda t: (as_csv(t) + "\n,,,,,\n\n").encode(),
    "t.csv.gz": lambda t: gzip.compress(as_csv(t).encode()),
    "t.zip": lambda t: _zipped(as_csv(t)),
    "t.csv.zip": lambda t: _zipped(as_csv(t)),
    "t.parquet": _parquet,
    "UPPER.CSV": lambda t: as_csv(t).encode(),
}
