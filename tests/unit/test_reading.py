"""Raw files become tables: the fast way in and the thorough one, and what is said of bad files."""

import gzip
from pathlib import Path

import duckdb
import pytest

from escalometer import warehouse
from escalometer.cases.domains import RawTable
from escalometer.errors import DataError
from escalometer.warehouse import _raw

ROWS = RawTable(
    "rows",
    {
        "id": "BIGINT",
        "n": "INTEGER",
        "x": "DOUBLE",
        "word": "VARCHAR",
        "day": "DATE",
        "b": "BOOLEAN",
    },
)
HEADER = "id,n,x,word,day,b\n"


def write(folder: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path, raw_table: RawTable = ROWS, n_threads: int = 2) -> list[tuple]:
    with warehouse.connect(n_threads) as connection:
        warehouse.read_raw(connection, raw_table, path)
        return connection.table(raw_table.name).fetchall()


def refusal(path: Path, raw_table: RawTable = ROWS) -> str:
    with pytest.raises(DataError) as caught:
        read(path, raw_table)
    return str(caught.value)


def slowly(path: Path, monkeypatch: pytest.MonkeyPatch, raw_table: RawTable = ROWS) -> list[tuple]:
    with monkeypatch.context() as patch:
        patch.setattr(_raw, "_load_typed", lambda *_, **_options: False)
        return read(path, raw_table)


def quickly(path: Path, monkeypatch: pytest.MonkeyPatch, raw_table: RawTable = ROWS) -> list[tuple]:
    with monkeypatch.context() as patch:
        patch.setattr(_raw, "_load_text", lambda *_: pytest.fail("not read the fast way"))
        return read(path, raw_table)


@pytest.mark.parametrize(
    "values",
    [
        "1,2,3.5,a,2020-01-31,true",
        "-1,+2,-3.5e-3,a b,2020-12-01,false",
        ",,,,,",
        "NA,NA,NA,NA,NA,NA",
        '"1","2","3.5","a, ""b""","2020-01-31","true"',
        "007,1e2,1e300,0,2020-01-31,1",
        "9007199254740991,-2147483648,0.1,é,1999-02-28,0",
        " 1 , 2 , 3 , a , 2020-01-31 ,true",
        "5.0,5.,.5,x,2020-1-3,T",
    ],
)
def test_the_fast_way_reads_what_the_thorough_one_reads(values, tmp_path, monkeypatch):
    path = write(tmp_path, f"{HEADER}1,1,1,w,2020-01-01,true\n{values}\n")
    assert quickly(path, monkeypatch) == slowly(path, monkeypatch)


def test_numbers_that_a_double_cannot_hold_are_read_exactly(tmp_path):
    path = write(tmp_path, HEADER + "9007199254740993,1,1,w,2020-01-01,true\n")
    assert read(path)[0][1] == 9007199254740993


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("n", "2.5", "a whole number"),
        ("n", "2147483648", "a whole number"),
        ("id", "9223372036854775808", "a whole number"),
        ("id", "1e-1", "a whole number"),
        ("id", "inf", "a whole number"),
        ("n", "nan", "a whole number"),
        ("n", "two", "a whole number"),
        ("x", "nan", "a finite number"),
        ("x", "1e999", "a finite number"),
        ("x", "-inf", "a finite number"),
        ("day", "31.12.2020", "a date"),
        ("b", "maybe", "true or false"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_row(column, value, rule, tmp_path):
    good = dict(zip(ROWS.columns, ["1", "1", "1", "w", "2020-01-01", "true"], strict=True))
    lines = [good, good | {column: value}, good]
    path = write(tmp_path, HEADER + "".join(",".join(row.values()) + "\n" for row in lines))
    assert f"{path}, row 3: column {column!r} must be {rule}" in refusal(path)
    assert f"(found {value!r})" in refusal(path)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("has_quotes", [False, True])
def test_rows_keep_their_order_and_numbers_in_a_file_of_many_pieces(
    n_threads, has_quotes, tmp_path
):
    path = tmp_path / "rows.csv"
    gap = 10 if has_quotes else 32  # a line break or a space
    text = f"concat('a word of', chr({gap}), 'filler ', i + 2)"
    with warehouse.connect() as connection:
        connection.execute(
            f"copy (select i + 2 as n, {text} as word from range(1500000) t(i)) to '{path}'"
        )
        raw_table = RawTable("rows", {"n": "INTEGER", "word": "VARCHAR"})
    assert path.stat().st_size > 32_000_000  # more than a thread takes at once
    with warehouse.connect(n_threads) as connection:
        assert warehouse.read_raw(connection, raw_table, path) == 1_500_000
        query = (
            "select count(*) from rows where source_row <> n or not ends_with(word, concat(' ', n))"
        )
        assert connection.execute(query).fetchall() == [(0,)]


def test_texts_that_stand_for_nothing_are_the_tables_own(tmp_path):
    columns = {"n": "INTEGER", "word": "VARCHAR"}
    path = write(tmp_path, "n,word\n1,NA\n-,''\nNULL,x\n")
    raw_table = RawTable("rows", columns, nulls=("-", "NULL", "''"))
    assert read(path, raw_table) == [(2, 1, "NA"), (3, None, None), (4, None, "x")]
    bare = RawTable("rows", {"word": "VARCHAR"}, nulls=())
    assert read(path, bare) == [(2, "NA"), (3, "''"), (4, "x")]
    assert "row 3: column 'n' must be a whole number (found '-')" in refusal(
        path, RawTable("rows", columns)
    )


def test_texts_that_stand_for_nothing_count_in_parquet_too(tmp_path):
    path = tmp_path / "rows.parquet"
    duckdb.sql("select unnest([1, 2]) as n, unnest(['NA', 'x']) as word").write_parquet(str(path))
    raw_table = RawTable("rows", {"n": "INTEGER", "word": "VARCHAR"})
    assert read(path, raw_table) == [(1, 1, None), (2, 2, "x")]
    assert read(path, RawTable("rows", raw_table.columns, nulls=()))[0] == (1, 1, "NA")


@pytest.mark.parametrize(
    ("expression", "is_fast"),
    [
        ("9007199254740991 as id, -2::double as n, 3 as x, 'NA' as word", True),
        ("9007199254740993 as id, 1 as n, 0.5::double as x, 'a' as word", False),
        ("1 as id, 1 as n, 0.1::float as x, 'a' as word", False),
        ("1 as id, '2' as n, '' as x, 7 as word", False),
        ("null::integer as id, null::double as n, null::double as x, null::varchar as word", True),
    ],
)
def test_parquet_is_read_the_same_either_way(expression, is_fast, tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    duckdb.sql(f"select {expression} from range(3)").write_parquet(str(path))
    numbers = RawTable("rows", {k: v for k, v in ROWS.columns.items() if k not in ("day", "b")})
    rows = read(path, numbers)
    assert [row[0] for row in rows] == [1, 2, 3]
    assert slowly(path, monkeypatch, numbers) == rows
    if is_fast:
        assert quickly(path, monkeypatch, numbers) == rows


@pytest.mark.parametrize("row_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["rows.csv", "ROWS.TSV", "rows.csv.gz", "rows.tsv.gz"])
def test_tabs_gzip_windows_row_ends_and_a_byte_order_mark_are_read(name, mark, row_end, tmp_path):
    text = mark + (HEADER + "1,2,3,w,2020-01-01,true\n").replace("\n", row_end)
    content = (text.replace(",", "\t") if ".tsv" in name.lower() else text).encode()
    path = write(tmp_path, gzip.compress(content) if name.endswith(".gz") else content, name)
    assert [row[:5] for row in read(path)] == [(2, 1, 2, 3.0, "w")]


def test_columns_that_are_left_aside_may_be_called_anything(tmp_path):
    raw_table = RawTable("rows", {"n": "INTEGER"})
    path = write(tmp_path, ',N,n,x,x,"it\'s"\n0,a,1,b,c,d\n')
    assert read(path, raw_table) == [(2, 1)]


@pytest.mark.parametrize("has_long_text", [False, True])
def test_a_byte_of_another_encoding_is_named_with_its_row(has_long_text, tmp_path):
    filler = '"a text\nof two lines",' if has_long_text else "w,"
    rows = [f"{i},{filler}1" for i in range(40)]
    rows[20] = "20,Amélie,1"
    raw_table = RawTable("rows", {"n": "INTEGER", "word": "VARCHAR"})
    path = write(tmp_path, ("n,word,other\n" + "\n".join(rows)).encode("latin-1"))
    assert refusal(path, raw_table) == (
        f"{path}, row 22: is not UTF-8 text (found the byte 0xe9); save it as UTF-8"
    )


@pytest.mark.parametrize(
    ("encoding", "found"),
    [("utf-16", "byte 0xff as in UTF-16"), ("utf-16-le", "zero bytes"), ("latin-1", "byte 0xe4")],
)
def test_a_header_of_another_encoding_is_told_what_to_do(encoding, found, tmp_path):
    path = write(
        tmp_path, "tagä,n\n1,2\n".replace("ä", "" if "le" in encoding else "ä").encode(encoding)
    )
    message = refusal(path, RawTable("rows", {"n": "INTEGER"}))
    assert message.startswith(f"{path}, row 1: is not UTF-8 text (found ")
    assert found in message
    assert message.endswith("save it as UTF-8")


def test_a_damaged_gzip_file_is_refused(tmp_path):
    whole = gzip.compress((HEADER + "1,2,3,w,2020-01-01,true\n" * 5000).encode())
    path = write(tmp_path, whole[: len(whole) // 2], "rows.csv.gz")
    assert f"{path} is not readable" in refusal(path)
    path = write(tmp_path, b"no gzip at all", "rows.csv.gz")
    assert f"{path} is not readable" in refusal(path)


def test_a_failure_leaves_the_table_that_was_there(tmp_path):
    good = write(tmp_path, HEADER + "1,2,3,w,2020-01-01,true\n")
    with warehouse.connect() as connection:
        warehouse.read_raw(connection, ROWS, good)
        with pytest.raises(DataError):
            warehouse.read_raw(connection, ROWS, write(tmp_path, HEADER + "x,2,3,w,,\n", "bad.csv"))
        assert len(connection.table("rows").fetchall()) == 1


def test_a_quotation_mark_that_never_closes_is_refused_wherever_it_opens(tmp_path):
    rows = "".join(f"{i},1,1,w,2020-01-01,true\n" for i in range(5000))
    for opens in ('7,1,1,"w,2020-01-01,true\n', '7,1,1,w,2020-01-01,"true'):
        path = write(tmp_path, f"{HEADER}{rows}{opens}{rows if opens.endswith(chr(10)) else ''}")
        assert "rows.csv, line 5002: unbalanced quotation mark" in refusal(path)
    # An inch is none.
    path = write(tmp_path, f'{HEADER}{rows}7,1,1,5" pipe,2020-01-01,true\n{rows}')
    assert len(read(path)) == 10001


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x1f\x8b and so on", "is not text but a .gz file"),
        (b"PK\x03\x04 and so on", "is not text but a .zip file"),
        (b"PAR1 and so on", "is not text but a .parquet file"),
        (HEADER.encode().replace(b"\n", b"\r") + b"1,1,1,w,2020-01-01,true\r", "carriage return"),
        (HEADER.replace(",", ";") + "1;1;1;w;2020-01-01;true\n", "must be separated by commas"),
    ],
)
def test_what_a_file_is_instead_is_said(content, says, tmp_path):
    assert says in refusal(write(tmp_path, content))


def test_a_header_without_end_is_not_said_to_its_end(tmp_path):
    said = refusal(write(tmp_path, ",".join(["x" * 1000] * 5000) + "\n"))
    assert len(said) < 100_000 and "and 4800 more" in said
