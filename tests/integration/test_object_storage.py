"""Tables on object storage: read, written, and the errors of credentials, buckets and uploads."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import escalometer
from escalometer import layout
from escalometer.cases import catalog
from escalometer.cases.own_domain import build
from escalometer.errors import UsageError
from escalometer.runtime import object_storage
from escalometer.runtime.object_storage import S3Address
from escalometer.schema import DECISIONS
from tests.absent import absent
from tests.command_line import BIN, environment, run
from tests.integration.test_decision_tables import (
    FORMATS,
    NEW,
    OLD,
    as_csv,
    as_parquet,
    folder,
    found_in,
)
from tests.object_storage import (
    KEY,
    SECRET,
    client,
    failing_server,
    keys,
    server,
    unfinished,
    use,
)
from tests.unit.own_tables import MINIMAL, rows

__all__ = ["folder"]  # a fixture

BUCKET = "reviews"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server with one bucket."""
    with server() as address:
        client(address).create_bucket(Bucket=BUCKET)
        yield address


@pytest.fixture
def storage(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server, whose bucket is empty."""
    use(monkeypatch, endpoint, tmp_path)
    there = client(endpoint)
    for key in keys(endpoint, BUCKET):
        there.delete_object(Bucket=BUCKET, Key=key)
    return there


def put(storage: Any, key: str, content: bytes) -> str:
    storage.put_object(Bucket=BUCKET, Key=key, Body=content)
    return f"s3://{BUCKET}/{key}"


def document(text: str, **without: Any) -> dict[str, Any]:
    """A printed document without what names its table."""
    found: dict[str, Any] = json.loads(text)
    return {name: value for name, value in found.items() if name not in ("source", "notes")}


def assert_silent_about_keys(*texts: str) -> None:
    assert not [text for text in texts if KEY in text or SECRET in text]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_profile_of_an_object_is_that_of_the_file(folder, storage, kind):
    (folder / f"old.{kind}").write_bytes(FORMATS[kind](OLD))
    address = put(storage, f"x/old.{kind}", FORMATS[kind](OLD))
    local = run(folder, "profile", f"old.{kind}", "--json")
    found = run(folder, "profile", address, "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == json.loads(local.stdout)
    assert not {name for name in found_in(folder) if name.startswith("temporary")}


def test_a_folder_of_parts_is_one_table(folder, storage):
    parts = [OLD[:100], OLD[100:], NEW]
    for number, part in enumerate(parts):
        put(storage, f"t/year={number}/part.parquet", as_parquet(part))
    put(storage, "t/_temporary/0/part.parquet", b"unfinished")
    put(storage, "t/_SUCCESS", b"")
    (folder / "all.parquet").write_bytes(as_parquet([*OLD, *NEW]))
    local = run(folder, "profile", "all.parquet", "--model", "new", "--json")
    found = run(folder, "profile", f"s3://{BUCKET}/t/", "--model", "new", "--json")
    assert found.returncode == 0, found.stderr
    assert document(found.stdout) == document(local.stdout)


def test_parts_with_other_columns_are_refused_by_name(folder, storage):
    put(storage, "t/a.parquet", as_parquet(OLD))
    short = [{name: value for name, value in row.items() if name != "label"} for row in OLD]
    put(storage, "t/b.parquet", as_parquet(short))
    found = run(folder, "profile", f"s3://{BUCKET}/t/")
    assert (found.returncode, found.stdout) == (4, "")
    assert f"s3://{BUCKET}/t/b.parquet and s3://{BUCKET}/t/a.parquet" in found.stderr
    assert "label" in found.stderr
    put(storage, "t/b.parquet", b"PAR1 but nothing else")
    found = run(folder, "profile", f"s3://{BUCKET}/t/")
    assert found.returncode == 4
    assert f"s3://{BUCKET}/t/b.parquet is not readable as Parquet" in found.stderr


def test_compare_gate_report_and_python_read_objects(folder, storage):
    first, second = (
        put(storage, f"{name}.parquet", as_parquet(table))
        for name, table in (("old", OLD), ("new", NEW))
    )
    found = run(folder, "compare", first, second, "--json")
    assert found.returncode == 0, found.stderr
    (folder / "old.parquet").write_bytes(as_parquet(OLD))
    (folder / "new.parquet").write_bytes(as_parquet(NEW))
    local = run(folder, "compare", "old.parquet", "new.parquet", "--json")
    assert json.loads(found.stdout) == json.loads(local.stdout)
    found = run(folder, "gate", second, "--against", first, "--json")
    assert found.returncode in (0, 1, 2), found.stderr
    found = run(folder, "report", first, "--out", "page")
    assert found.returncode == 0, found.stderr
    assert (folder / "page" / "index.html").exists()
    found = run(folder, "policy", "export", first, "--cost-ratio", "4", "--out", "policy.json")
    assert found.returncode == 0, found.stderr
    assert escalometer.profile(first).model == "old"


def test_a_source_is_imported_from_an_object_once(folder, storage, project):
    address = put(storage, "old.csv", as_csv(OLD))
    for done in ("imported", "already imported"):
        found = run(project, "import", address, "--as", "theirs")
        assert found.returncode == 0, found.stderr
        assert found.stdout.startswith(f"{done}: old.csv as theirs")
    put(storage, "old.csv", as_csv(NEW))
    assert run(project, "import", address, "--as", "theirs").returncode == 3


def test_checked_decisions_are_written_to_an_object(folder, storage, endpoint):
    (folder / "old.csv").write_bytes(as_csv(OLD))
    address = f"s3://{BUCKET}/checked/old.parquet"
    found = run(folder, "import", "old.csv", "--out", address)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == address
    content = storage.get_object(Bucket=BUCKET, Key="checked/old.parquet")["Body"].read()
    assert pq.read_table(io.BytesIO(content)).num_rows == len(OLD)
    assert unfinished(endpoint, BUCKET) == []


def test_large_objects_are_written_and_read_in_parts(folder, storage, endpoint, monkeypatch):
    monkeypatch.setattr(object_storage, "_PART", 5 << 20)
    file = folder / "large"
    file.write_bytes(os.urandom(1 << 20) * 12)
    address = S3Address(BUCKET, "large")
    object_storage.upload({address: file})
    with object_storage.opened(address) as stream:
        assert stream.read() == file.read_bytes()
    assert storage.head_object(Bucket=BUCKET, Key="large")["ETag"].endswith('-3"')


def decisions_of(model: str, domain: str) -> pa.Table:
    """Decisions as a run stores them."""
    texts = {"edition": "derived", "prompt": "a prompt", "decision_prompt": "decide"}
    filled = []
    for row in OLD:
        one = {field.name: None for field in DECISIONS}
        one |= {name: value for name, value in row.items() if name in one} | texts
        one |= {"model": model, "domain": domain, "intervention": "baseline", "replicate": 0}
        one |= {"is_thinking": False, "is_isolated": False, "force_answer": False, "status": "ok"}
        one |= {"n_prompt_tokens": 1, "n_completion_tokens": 1, "cost_usd": 0.0, "latency_s": 0.1}
        filled.append(one)
    return pa.Table.from_pylist(filled, DECISIONS)


def test_the_decisions_of_a_run_are_published_and_read_again(folder, storage, project, endpoint):
    for domain in ("movielens", "hmda_mortgages"):
        file = layout.decisions_file("tiny", domain, project)
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(decisions_of("tiny", domain), file)
    target = f"s3://{BUCKET}/campaign/"
    found = run(project, "data", "publish", target)
    assert found.returncode == 0, found.stderr
    published = [f"{target}tiny/{name}.parquet" for name in ("movielens", "hmda_mortgages")]
    assert found.stdout.split() == published
    assert unfinished(endpoint, BUCKET) == []
    local = run(project, "profile", "tiny", "--json")
    assert local.returncode == 0, local.stderr
    again = run(project, "profile", target, "--model", "tiny", "--json")
    assert again.returncode == 0, again.stderr
    first, second = json.loads(local.stdout), json.loads(again.stdout)
    assert first["n_decisions"] == second["n_decisions"] == 2 * len(OLD)
    for name in ("curve", "domains", "interventions", "statuses"):
        assert first[name] == second[name], name
    assert run(folder, "report", f"{target}tiny/", "--out", "page").returncode == 0
    assert run(project, "data", "publish", f"s3://{BUCKET}/campaign").returncode == 3
    assert run(project, "data", "publish", target, "--models", "none").returncode == 3


def test_the_table_of_an_own_domain_is_fetched_once_and_again_on_demand(folder, storage, project):
    header = "topic,months,amount,premium,comment,refunded\n"
    text = header + "".join(",".join(row) + "\n" for row in rows())
    address = put(storage, "tickets.csv", text.encode())
    path = project / "domains" / "my_tickets.yaml"
    path.write_text(MINIMAL.replace("t.csv", address), "utf-8")
    domain = build.load(path)
    copy = project / "domains" / "my_tickets.fetched" / "tickets.csv"
    assert copy.read_text("utf-8") == text
    assert address in domain.editions[0].provenance["edition"]
    put(storage, "tickets.csv", text.replace("billing", "invoices").encode())
    build.load(path)
    assert copy.read_text("utf-8") == text  # no second request
    found = run(project, "data", "fetch", "my_tickets")
    assert found.returncode == 0, found.stderr
    assert "invoices" in copy.read_text("utf-8")
    raw = layout.raw_folder("my_tickets", project) / "my_tickets_rows.csv"
    assert "invoices" in raw.read_text("utf-8")
    put(storage, "other.csv", text.encode())
    path.write_text(MINIMAL.replace("t.csv", f"s3://{BUCKET}/other.csv"), "utf-8")
    catalog.load("my_tickets", project)  # another address: fetched without being asked
    assert (copy.parent / "other.csv").exists()
    found = run(project, "domains", "check", str(path))
    assert found.returncode == 0, found.stderr
    status = subprocess.run(
        ["git", "status", "--porcelain", "--", "domains"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert status.stdout.split() == ["??", "domains/my_tickets.yaml"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        ),
        ({"AWS_SECRET_ACCESS_KEY": None}, "set AWS_SECRET_ACCESS_KEY"),
        ({"AWS_PROFILE": "nobody"}, "AWS_PROFILE is 'nobody'"),
        ({"AWS_ENDPOINT_URL": "no-url"}, "check AWS_ENDPOINT_URL"),
    ],
)
def test_missing_credentials_are_named(folder, storage, monkeypatch, changes, said):
    for name, value in changes.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    (folder / "old.csv").write_bytes(as_csv(OLD))
    for arguments in (
        ("profile", f"s3://{BUCKET}/old.csv"),
        ("profile", f"s3://{BUCKET}/folder/"),
        ("import", "old.csv", "--out", f"s3://{BUCKET}/old.parquet"),
    ):
        found = run(folder, *arguments)
        assert (found.returncode, found.stdout) == (3, ""), found.stderr
        assert said in found.stderr
        assert_silent_about_keys(found.stderr)


def test_an_absent_object_an_absent_bucket_and_an_empty_folder(folder, storage):
    for address, said in (
        (f"s3://{BUCKET}/none.csv", f"s3://{BUCKET}/none.csv does not exist"),
        ("s3://nowhere/none.csv", "there is no bucket 'nowhere'"),
        ("s3://nowhere/", "there is no bucket 'nowhere'"),
        (f"s3://{BUCKET}/none/", "has no object whose name ends in .parquet"),
        ("s3://", "is not an address on object storage"),
    ):
        found = run(folder, "profile", address)
        assert (found.returncode, found.stdout) == (3, ""), address
        assert said in found.stderr
    (folder / "old.csv").write_bytes(as_csv(OLD))
    found = run(folder, "import", "old.csv", "--out", "s3://nowhere/old.parquet")
    assert found.returncode == 3
    assert "there is no bucket 'nowhere'" in found.stderr


def test_an_unreachable_storage_is_an_outage(folder, storage, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    found = run(folder, "profile", f"s3://{BUCKET}/old.csv")
    assert (found.returncode, found.stdout) == (5, "")
    assert "the object storage cannot be reached" in found.stderr


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (507, "InsufficientStorage", "is full or its quota is used up (InsufficientStorage)"),
        (403, "QuotaExceeded", "is full or its quota is used up (QuotaExceeded)"),
        (403, "AccessDenied", "the credentials need s3:PutObject"),
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID is unknown there"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY does not belong to"),
        (400, "ExpiredToken", "AWS_SESSION_TOKEN has expired"),
    ],
)
def test_an_upload_that_fails_midway_is_aborted(folder, monkeypatch, status, code, said):
    monkeypatch.setattr(object_storage, "_PART", 4096)
    (folder / "old.csv").write_bytes(as_csv(OLD))
    with failing_server(status, code, n_accepted=1) as (endpoint, failing):
        use(monkeypatch, endpoint, folder)
        found = run(folder, "import", "old.csv", "--out", f"s3://{BUCKET}/old.parquet")
    assert (found.returncode, found.stdout) == (3, "")
    assert said in found.stderr
    assert f"s3://{BUCKET}/old.parquet" in found.stderr
    assert_silent_about_keys(found.stderr)
    methods = [method for method, _ in failing.requests]
    assert methods.count("POST") == 1  # begun, never completed
    assert methods[-1] == "DELETE"


def test_of_several_tables_none_appears_where_one_fails(storage, folder, endpoint):
    (folder / "a").write_bytes(b"a")
    good, bad = S3Address(BUCKET, "a"), S3Address("nowhere", "a")
    with pytest.raises(UsageError, match="no bucket 'nowhere'"):
        object_storage.upload({good: folder / "a", bad: folder / "a"})
    assert keys(endpoint, BUCKET) == []
    assert unfinished(endpoint, BUCKET) == []


def test_an_object_that_cannot_be_read_is_no_damaged_file(folder, monkeypatch):
    with failing_server(403, "AccessDenied") as (endpoint, failing):
        monkeypatch.setattr(
            failing,
            "respond",
            lambda handler: (403, b""),  # HEAD: an answer without a body
        )
        use(monkeypatch, endpoint, folder)
        found = run(folder, "profile", f"s3://{BUCKET}/old.parquet")
    assert (found.returncode, found.stdout) == (3, "")
    assert "the credentials need s3:GetObject" in found.stderr


def test_without_the_extra_the_command_that_installs_it_is_printed(folder, storage):
    with absent("s3fs"):
        found = run(folder, "profile", f"s3://{BUCKET}/old.csv")
    assert (found.returncode, found.stdout) == (3, "")
    assert "pip install 'escalometer[s3]'" in found.stderr


def test_paths_that_are_no_tables_are_not_taken_for_folders(folder, storage):
    (folder / "old.csv").write_bytes(as_csv(OLD))
    found = run(folder, "report", "old.csv", "--out", f"s3://{BUCKET}/page/")
    assert found.returncode == 3
    assert "name a local path" in found.stderr
    assert not (folder / "s3:").exists()


@pytest.mark.slow
def test_dvc_pushes_to_and_pulls_from_a_remote_on_object_storage(storage, project, endpoint):
    def dvc(*arguments: str) -> None:
        done = subprocess.run(
            [str(BIN / "dvc"), *arguments],
            cwd=project,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert_silent_about_keys(done.stdout, done.stderr)

    dvc("remote", "add", "--default", "team", f"s3://{BUCKET}/dvc")
    dvc("remote", "modify", "team", "endpointurl", endpoint)
    stage = "ingest@hmda_mortgages"
    dvc("repro", "--single-item", stage)
    raw = layout.raw_folder("hmda_mortgages", project)
    content = {path.name: path.read_bytes() for path in raw.iterdir()}
    dvc("push", stage)
    assert keys(endpoint, BUCKET)
    shutil.rmtree(raw)
    shutil.rmtree(project / ".dvc" / "cache")
    dvc("pull", stage)
    assert {path.name: path.read_bytes() for path in raw.iterdir()} == content
