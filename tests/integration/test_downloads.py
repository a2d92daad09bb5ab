"""Downloads from a real server on loopback that does what servers do: cut, change, redirect."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
import yaml
from urllib3.exceptions import MaxRetryError, NameResolutionError

from escalometer.cases.downloads import download, transfer, unpack
from escalometer.cases.downloads.published import holds_secret, spell_url
from escalometer.errors import DataError, ProviderError, UsageError
from escalometer.pipeline import bring_up_to_date, stage_addresses, track_download
from tests.conftest import ROOT

MB = 1_000_000
CONTENT = bytes(range(251)) * (2 * MB // 251) + b"the end"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Item:
    """The server's behaviour at one address; lists are used up from the front, one a request."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    modified: str | None = "Mon, 02 Nov 2026 10:00:00 GMT"
    ranges: str = "kept"  # or ignored, refused (416), careless (whatever If-Range says)
    length: str = "given"  # or chunked, none
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    location: str | None = None
    pause_at: int | None = None  # bytes after which it waits for `resumed`
    resumed: threading.Event = field(default_factory=threading.Event)


class Shelf(http.server.ThreadingHTTPServer):
    """A server of items, which remembers what was asked and how many bytes it gave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.items: dict[str, Item] = {}
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, Range
        self.n_sent = 0
        self.scheme = "http"

    def put(self, name: str, **what: object) -> str:
        """Lay out an item and return its address."""
        self.items[f"/{name}"] = Item(**what)  # type: ignore[arg-type]
        return self.url(name)

    def url(self, name: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet about clients that have gone, which is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def forget(self) -> None:
        self.asked, self.n_sent = [], 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shelf

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        item = self.server.items.get(path)
        status = 404 if item is None else item.statuses.pop(0) if item.statuses else 200
        if item is None or status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if item.location:
            self.send_response(302)
            self.send_header("Location", item.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_item(item)

    def send_item(self, item: Item) -> None:
        start, asked = 0, re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and item.ranges == "refused":
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        guard = self.headers.get("If-Range")
        if (
            asked
            and item.ranges != "ignored"
            and (item.ranges == "careless" or guard in (None, item.etag, item.modified))
        ):
            start = int(asked[1])
            self.send_response(206)
            n_bytes = len(item.content)
            self.send_header("Content-Range", f"bytes {start}-{n_bytes - 1}/{n_bytes}")
        else:
            self.send_response(200)
        body = item.content[start:]
        if item.etag:
            self.send_header("ETag", item.etag)
        if item.modified:
            self.send_header("Last-Modified", item.modified)
        for name, value in item.headers.items():
            self.send_header(name, value)
        if item.length == "given":
            self.send_header("Content-Length", str(len(body)))
        elif item.length == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "GET":
            cut = item.cuts.pop(0) if item.cuts else None
            self.send_body(item, body[:cut], is_cut=cut is not None)

    def send_body(self, item: Item, body: bytes, *, is_cut: bool) -> None:
        step, n_sent = 50_000, 0
        try:
            for start in range(0, len(body), step):
                if item.pause_at is not None and n_sent >= item.pause_at:
                    item.resumed.wait(20)
                piece = body[start : start + step]
                if item.length == "chunked":
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                else:
                    self.wfile.write(piece)
                n_sent += len(piece)
                self.server.n_sent += len(piece)
            if item.length == "chunked" and not is_cut:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:  # the client has gone
            self.close_connection = True
        if is_cut or item.length == "none":
            self.close_connection = True


@pytest.fixture(autouse=True)
def quick_and_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "RETRY_WAITS_S", (0.0, 0.0, 0.0))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


def serve(shelf: Shelf) -> Iterator[Shelf]:
    thread = threading.Thread(target=shelf.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield shelf
    for item in shelf.items.values():
        item.resumed.set()
    shelf.shutdown()
    thread.join()
    shelf.server_close()


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    yield from serve(Shelf())


@pytest.fixture
def secure_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """The same over https, with a certificate made for this test and trusted by it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = tmp_path / "key.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    shelf = Shelf()
    shelf.scheme = "https"
    shelf.socket = context.wrap_socket(shelf.socket, server_side=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    yield from serve(shelf)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave_partial(path: Path, url: str, n_bytes: int, **version: object) -> None:
    """The files that a run stopped after `n_bytes` leaves behind."""
    path.with_name(path.name + ".partial").write_bytes(CONTENT[:n_bytes])
    said = {"etag": '"one"', "last_modified": None, "n_bytes": len(CONTENT)} | version
    path.with_name(path.name + ".partial.json").write_text(json.dumps({"url": url, **said}))


# --- whole downloads ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["given", "chunked"])
def test_a_whole_file_and_its_digest(
    shelf: Shelf, tmp_path: Path, length: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url, path = shelf.put("f.csv", length=length), tmp_path / "new" / "f.csv"
    assert download(url, path) == SHA256
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["f.csv"]
    assert capsys.readouterr().err == "downloading f.csv: 2.0/2.0 MB, 0 s\n"


@pytest.mark.parametrize(
    "checksum",
    [f"sha256:{SHA256.upper()}", f"md5:{hashlib.md5(CONTENT).hexdigest()}"],  # noqa: S324
)
def test_what_is_there_and_right_costs_no_request(
    shelf: Shelf, tmp_path: Path, checksum: str
) -> None:
    url, path = shelf.put("f.csv"), tmp_path / "f.csv"
    for _ in range(2):
        assert download(url, path, n_bytes=len(CONTENT), checksum=checksum) == SHA256
    assert len(shelf.asked) == 1
    assert download(url, path) == SHA256
    assert len(shelf.asked) == 1


def test_what_is_there_and_wrong_is_replaced_only_by_what_is_right(
    shelf: Shelf, tmp_path: Path
) -> None:
    url, path = shelf.put("f.csv", statuses=[404]), tmp_path / "f.csv"
    path.write_text("something else")
    with pytest.raises(ProviderError, match="404"):
        download(url, path, n_bytes=len(CONTENT))
    assert path.read_text() == "something else"
    assert download(url, path, n_bytes=len(CONTENT)) == SHA256
    assert path.read_bytes() == CONTENT


def test_an_empty_file(shelf: Shelf, tmp_path: Path) -> None:
    url = shelf.put("f.csv", content=b"")
    assert download(url, tmp_path / "f.csv", n_bytes=0) == hashlib.sha256(b"").hexdigest()
    assert names(tmp_path) == ["f.csv"]


def test_a_packed_file_stays_packed(shelf: Shelf, tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n1,2\n")
    url = shelf.put("t.csv.gz", content=packed, headers={"Content-Encoding": "x-gzip"})
    download(url, tmp_path / "t.csv.gz")
    assert (tmp_path / "t.csv.gz").read_bytes() == packed
    shelf.put("t.csv", content=packed, headers={"Content-Encoding": "gzip"})
    with pytest.raises(ProviderError, match=r"compressed data \(gzip\) against the request"):
        download(shelf.url("t.csv"), tmp_path / "t.csv")


# --- going on ----------------------------------------------------------------------------------


def test_a_cut_connection_is_taken_up_where_it_stopped(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = shelf.put("f.csv", cuts=[700_000, 700_000])
    assert download(url, tmp_path / "f.csv") == SHA256
    ranges = [asked for _, _, asked in shelf.asked]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert None not in ranges[1:]
    lost = shelf.n_sent - len(CONTENT)
    assert 0 <= lost <= 2 * (1 << 16)  # at most one chunk a cut, or it would not have resumed
    assert "f.csv: the connection broke; retrying in 0 s" in capsys.readouterr().err


def test_more_cuts_than_attempts_as_long_as_more_of_it_comes(shelf: Shelf, tmp_path: Path) -> None:
    url = shelf.put("f.csv", cuts=[200_000] * 8)
    assert download(url, tmp_path / "f.csv") == SHA256
    assert len(shelf.asked) == 9


def test_another_run_goes_on(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, path = shelf.put("f.csv", cuts=[1_200_000, 0, 0, 0, 0]), tmp_path / "f.csv"
    with pytest.raises(ProviderError, match=r"it resumes at 1\.[12] MB; or download it by"):
        download(url, path)
    assert names(tmp_path) == ["f.csv.partial", "f.csv.partial.json"]
    shelf.forget()
    shelf.items["/f.csv"].cuts.clear()
    capsys.readouterr()
    assert download(url, path) == SHA256
    assert shelf.n_sent < 900_000
    assert names(tmp_path) == ["f.csv"]
    assert re.fullmatch(
        r"downloading f\.csv: 2\.0/2\.0 MB \(1\.[12] MB of it earlier\), 0 s\n",
        capsys.readouterr().err,
    )


def test_last_modified_guards_where_there_is_no_strong_tag(shelf: Shelf, tmp_path: Path) -> None:
    url = shelf.put("f.csv", cuts=[700_000], etag='W/"one"')
    assert download(url, tmp_path / "f.csv") == SHA256
    assert shelf.n_sent < len(CONTENT) + 100_000


def test_without_anything_that_tells_versions_apart_it_starts_over(
    shelf: Shelf, tmp_path: Path
) -> None:
    url = shelf.put("f.csv", cuts=[700_000], etag=None, modified=None)
    assert download(url, tmp_path / "f.csv") == SHA256
    assert [asked for _, _, asked in shelf.asked] == [None, None]


@pytest.mark.parametrize("ranges", ["ignored", "refused"])
def test_a_server_that_gives_no_ranges_starts_over(
    shelf: Shelf, tmp_path: Path, ranges: str
) -> None:
    url, path = shelf.put("f.csv", ranges=ranges), tmp_path / "f.csv"
    leave_partial(path, url, MB)
    assert download(url, path, checksum=f"sha256:{SHA256}") == SHA256
    assert shelf.asked[0][2] == f"bytes={MB}-"
    assert shelf.n_sent == len(CONTENT)


def test_a_server_that_always_starts_over_and_breaks_off_is_given_up(
    shelf: Shelf, tmp_path: Path
) -> None:
    url = shelf.put("f.csv", ranges="ignored", cuts=[MB] * 50)
    with pytest.raises(ProviderError, match="the connection broke"):
        download(url, tmp_path / "f.csv")
    assert len(shelf.asked) == 4  # the first, and one after each wait


@pytest.mark.parametrize("ranges", ["kept", "careless"])
def test_another_version_is_never_appended(shelf: Shelf, tmp_path: Path, ranges: str) -> None:
    url, path = shelf.put("f.csv", etag='"two"', modified=None, ranges=ranges), tmp_path / "f.csv"
    leave_partial(path, url, MB, etag='"one"')
    path.with_name("f.csv.partial").write_bytes(b"x" * MB)
    assert download(url, path) == SHA256
    assert path.read_bytes() == CONTENT


def test_a_partial_file_of_another_address_or_of_none_is_not_gone_on_with(
    shelf: Shelf, tmp_path: Path
) -> None:
    url, path = shelf.put("f.csv"), tmp_path / "f.csv"
    leave_partial(path, shelf.url("other.csv"), MB)
    assert download(url, path) == SHA256
    path.unlink()
    leave_partial(path, url, MB)
    path.with_name("f.csv.partial.json").write_text('{"url"')
    assert download(url, path) == SHA256
    assert [asked for _, _, asked in shelf.asked] == [None, None]


def test_a_partial_file_that_is_whole_is_only_checked(shelf: Shelf, tmp_path: Path) -> None:
    url, path = shelf.put("f.csv"), tmp_path / "f.csv"
    leave_partial(path, url, len(CONTENT))
    assert download(url, path, checksum=f"sha256:{SHA256}") == SHA256
    assert shelf.asked == []
    assert names(tmp_path) == ["f.csv"]


def test_an_interrupt_leaves_what_came(shelf: Shelf, tmp_path: Path) -> None:
    url, path = shelf.put("f.csv", pause_at=MB), tmp_path / "f.csv"
    code = (
        "import sys; from pathlib import Path; from escalometer.cases.downloads import download\n"
        "try: download(sys.argv[1], Path(sys.argv[2]))\n"
        "except KeyboardInterrupt: sys.exit(130)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, url, str(path)], cwd=ROOT)
    partial, deadline = path.with_name("f.csv.partial"), time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size > MB - (1 << 16)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert names(tmp_path) == ["f.csv.partial", "f.csv.partial.json"]
    shelf.items["/f.csv"].resumed.set()
    shelf.forget()
    shelf.items["/f.csv"].pause_at = None
    assert download(url, path) == SHA256
    assert shelf.asked[0][2] is not None


def test_two_at_once_do_not_mix_their_bytes(shelf: Shelf, tmp_path: Path) -> None:
    url, path = shelf.put("f.csv"), tmp_path / "f.csv"
    with path.with_name("f.csv.partial").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ProviderError, match="being downloaded by another process"):
            download(url, path)
    assert download(url, path) == SHA256


# --- what is not the file ----------------------------------------------------------------------


def test_a_wrong_checksum_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    url = shelf.put("f.csv")
    with pytest.raises(DataError) as caught:
        download(url, tmp_path / "f.csv", checksum="sha256:" + "0" * 64)
    assert SHA256 in str(caught.value)
    assert "expected " + "0" * 64 in str(caught.value)
    assert "may have changed" in str(caught.value)
    assert names(tmp_path) == []


def test_a_wrong_size_is_seen_before_the_download(shelf: Shelf, tmp_path: Path) -> None:
    url = shelf.put("f.csv", pause_at=0)
    with pytest.raises(DataError, match=r"server has 1,999,975 bytes, expected 12\."):
        download(url, tmp_path / "f.csv", n_bytes=12)
    assert names(tmp_path) == []
    assert shelf.n_sent == 0


@pytest.mark.parametrize("n_bytes", [12, len(CONTENT) + 12])
def test_a_wrong_size_where_the_server_does_not_say_it(
    shelf: Shelf, tmp_path: Path, n_bytes: int
) -> None:
    url = shelf.put("f.csv", length="chunked")
    with pytest.raises(DataError, match="expected"):
        download(url, tmp_path / "f.csv", n_bytes=n_bytes)
    assert names(tmp_path) == []


def test_a_file_without_an_end_is_never_taken_for_whole(shelf: Shelf, tmp_path: Path) -> None:
    url = shelf.put("f.csv", length="none", cuts=[MB] * 9, ranges="ignored")
    with pytest.raises(DataError, match="completeness cannot be verified"):
        download(url, tmp_path / "f.csv")
    with pytest.raises(ProviderError, match="ended before the end of the file"):
        download(url, tmp_path / "f.csv", n_bytes=len(CONTENT))
    assert not (tmp_path / "f.csv").exists()
    shelf.items["/f.csv"].cuts.clear()
    assert download(url, tmp_path / "f.csv", n_bytes=len(CONTENT)) == SHA256


def test_a_cut_between_chunks_is_no_end(shelf: Shelf, tmp_path: Path) -> None:
    url = shelf.put("f.csv", length="chunked", cuts=[500_000], ranges="ignored")
    assert download(url, tmp_path / "f.csv") == SHA256


def test_a_web_page_is_not_the_file(shelf: Shelf, tmp_path: Path) -> None:
    url = shelf.put("f.csv", content=b"<html>", headers={"Content-Type": "text/html; charset=x"})
    with pytest.raises(ProviderError, match="a web page instead"):
        download(url, tmp_path / "f.csv")
    assert names(tmp_path) == []


def test_no_room(shelf: Shelf, tmp_path: Path) -> None:
    url = shelf.put("f.csv")
    with pytest.raises(
        DataError, match=r"not enough disk space for .*f\.csv: 1,000,000,000,000\.0 MB"
    ):
        download(url, tmp_path / "f.csv", n_bytes=10**18)
    assert shelf.asked == []
    assert names(tmp_path) == []


# --- servers that do not give it ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "a login"), (403, "a login"), (404, "does not exist"), (410, "does not exist")],
)
def test_what_the_server_does_not_give(
    shelf: Shelf, tmp_path: Path, status: int, said: str
) -> None:
    url, path = shelf.put("f.csv", statuses=[status]), tmp_path / "f.csv"
    with pytest.raises(ProviderError) as caught:
        download(url, path)
    assert caught.value.exit_code == 5
    for part in (url, f"the server answers {status}", said, f"put it at {path}"):
        assert part in str(caught.value)
    assert len(shelf.asked) == 1
    assert names(tmp_path) == []


def test_a_server_that_is_busy_is_asked_again(shelf: Shelf, tmp_path: Path) -> None:
    url = shelf.put("f.csv", statuses=[503, 429])
    assert download(url, tmp_path / "f.csv") == SHA256
    assert len(shelf.asked) == 3


def test_a_server_that_does_not_answer(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "TIMEOUT_S", (5.0, 0.2))
    monkeypatch.setattr(transfer, "RETRY_WAITS_S", (0.0,))
    url = shelf.put("f.csv", pause_at=0)
    with pytest.raises(ProviderError, match=r"127\.0\.0\.1 did not answer in time"):
        download(url, tmp_path / "f.csv")


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(
        ProviderError, match=r"no connection to 127\.0\.0\.1\. Run the command again"
    ):
        download(f"http://127.0.0.1:{port}/f.csv", tmp_path / "f.csv")
    assert names(tmp_path) == []


def test_an_unknown_name_in_words() -> None:
    # The error as requests raises it; asking for a name would ask the network.
    cause = NameResolutionError("data.example", None, socket.gaierror(-2, "unknown"))  # type: ignore[arg-type]
    error = requests.ConnectionError(MaxRetryError(None, "/f?key=k3y", cause))  # type: ignore[arg-type]
    said = transfer._spell_error(error, "https://data.example/f?key=k3y")
    assert said == "the server's name (data.example) cannot be resolved: check the network"


# --- addresses ---------------------------------------------------------------------------------


def test_a_redirect_is_followed_and_resumed(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("real.csv", cuts=[MB])
    url = shelf.put("f.csv", location="/real.csv?X-Amz-Signature=abc")
    assert download(url, tmp_path / "f.csv") == SHA256
    assert [path for _, path, _ in shelf.asked] == ["/f.csv", "/real.csv"] * 2
    assert shelf.n_sent < len(CONTENT) + 100_000


def test_redirects_may_gain_security_and_never_lose_it(
    shelf: Shelf, secure_shelf: Shelf, tmp_path: Path
) -> None:
    secure_shelf.put("f.csv")
    assert download(secure_shelf.url("f.csv"), tmp_path / "a.csv") == SHA256
    up = shelf.put("up.csv", location=secure_shelf.url("f.csv"))
    assert download(up, tmp_path / "b.csv") == SHA256
    shelf.put("f.csv")
    down = secure_shelf.put("down.csv", location=shelf.url("f.csv"))
    shelf.forget()
    with pytest.raises(ProviderError, match=r"redirects to an insecure address \(http:\)"):
        download(down, tmp_path / "c.csv")
    assert shelf.asked == []


def test_a_certificate_that_nobody_vouches_for(
    secure_shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(ProviderError, match="does not trust the server's certificate"):
        download(secure_shelf.put("f.csv"), tmp_path / "f.csv")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/f", "/loop.csv"])
def test_redirects_that_lead_nowhere(shelf: Shelf, tmp_path: Path, location: str) -> None:
    url = shelf.put("loop.csv", location=location)
    with pytest.raises(ProviderError, match=r"insecure address|TooManyRedirects"):
        download(url, tmp_path / "f.csv")


@pytest.mark.parametrize(
    "url", ["ftp://h/f", "file:///etc/passwd", "f.csv", "http://", "http://u:p@ss/w@h/f", ""]
)
def test_only_addresses_of_the_web(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        download(url, tmp_path / "f.csv")
    assert "p@ss" not in str(caught.value)


def test_names_and_keys_are_not_shown() -> None:
    with pytest.raises(UsageError, match="contains a user's name") as caught:
        download("https://ann:s3cret@data.example/f.csv", Path("f.csv"))
    assert "s3cret" not in str(caught.value)
    assert "ann" not in str(caught.value)
    url = "https://data.example/a/f.csv?edition=2&api_key=k3y&X-Amz-Signature=f00#part"
    shown = "https://data.example/a/f.csv?edition=2&api_key=…&X-Amz-Signature=…"
    assert spell_url(url) == shown
    assert holds_secret(url)
    assert not holds_secret("https://data.example/f.csv?keyword=loans&design=1")


@pytest.mark.parametrize("checksum", ["sha256:12", "crc:" + "0" * 8, "0" * 64, "", "md5:"])
def test_checksums_that_are_none(tmp_path: Path, checksum: str) -> None:
    with pytest.raises(UsageError, match="neither sha256:"):
        download("http://127.0.0.1/f", tmp_path / "f", checksum=checksum)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot write to"):
        download("http://127.0.0.1/f", tmp_path / "new" / "f")


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    with pytest.raises(UsageError, match="cannot write to"):
        download("http://127.0.0.1/f", tmp_path / "folder" / "f")


# --- archives ----------------------------------------------------------------------------------


def make_zip(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def make_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        folder = tarfile.TarInfo("ml")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


MAKERS = pytest.mark.parametrize("make", [make_zip, make_tar])
MEMBERS = [("ml/ratings.csv", CONTENT), ("ml/README.txt", b"read"), ("ml/movies.csv", b"a,b\n")]


@MAKERS
def test_unpack_takes_what_is_named_and_nothing_else(tmp_path: Path, make) -> None:
    archive, out = make(tmp_path / "download", MEMBERS), tmp_path / "out"
    (tmp_path / "out").mkdir()
    (out / "r.csv").write_text("of an older edition")
    unpack(archive, {"ratings.csv": out / "r.csv", "movies.csv": out / "deep" / "m.csv"})
    assert (out / "r.csv").read_bytes() == CONTENT
    assert (out / "deep" / "m.csv").read_bytes() == b"a,b\n"
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "download",
        "m.csv",
        "r.csv",
    ]


@MAKERS
def test_unpack_all_or_none(tmp_path: Path, make) -> None:
    archive, out = make(tmp_path / "a", MEMBERS), tmp_path / "out"
    with pytest.raises(DataError, match=r"a does not contain links\.csv, tags\.csv"):
        unpack(archive, {name: out / name for name in ("ratings.csv", "tags.csv", "links.csv")})
    assert names(out) == []


@MAKERS
def test_a_member_that_is_there_twice(tmp_path: Path, make) -> None:
    archive = make(tmp_path / "a", [("a/f.csv", b"1"), ("b/f.csv", b"2")])
    with pytest.raises(DataError, match=r"contains f\.csv twice"):
        unpack(archive, {"f.csv": tmp_path / "out" / "f.csv"})
    assert names(tmp_path / "out") == []


@MAKERS
@pytest.mark.parametrize(
    "name", ["../../f.csv", "/f.csv", "..\\..\\f.csv", "C:\\f.csv", "a/../../../f.csv"]
)
def test_no_name_in_an_archive_decides_where_it_goes(tmp_path: Path, make, name: str) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    archive = make(deep / "archive", [(name, b"1"), ("../../evil.csv", b"2")])
    unpack(archive, {"f.csv": deep / "out" / "f.csv"})
    assert (deep / "out" / "f.csv").read_bytes() == b"1"
    files = sorted(p.name for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["archive", "f.csv"]
    assert not list(tmp_path.parent.glob("*.csv"))


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        link = tarfile.TarInfo("f.csv")
        link.type, link.linkname = kind, str(tmp_path / "private")
        with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
            archive.addfile(link)
        with pytest.raises(DataError, match=r"does not contain f\.csv"):
            unpack(tmp_path / "a.tar.gz", {"f.csv": tmp_path / "out" / "f.csv"})


@MAKERS
@pytest.mark.parametrize("where", ["short", "flipped"])
def test_a_damaged_archive(tmp_path: Path, make, where: str) -> None:
    random = bytes((i * i * 7919 >> 3) & 255 for i in range(300_000))
    whole = bytearray(make(tmp_path / "a", [("f.csv", random)]).read_bytes())
    if where == "short":
        whole = whole[: len(whole) // 2]
    else:
        whole[len(whole) // 2] ^= 1
    (tmp_path / "a").write_bytes(whole)
    with pytest.raises(DataError, match=r"cannot be unpacked: .* download it again"):
        unpack(tmp_path / "a", {"f.csv": tmp_path / "out" / "f.csv"})
    assert not (tmp_path / "out").exists() or names(tmp_path / "out") == []


def test_gzip_damage_after_the_last_member_is_seen(tmp_path: Path) -> None:
    whole = bytearray(make_tar(tmp_path / "a", MEMBERS).read_bytes())
    whole[-6] ^= 1  # in gzip's own checksum
    (tmp_path / "a").write_bytes(whole)
    with pytest.raises(DataError, match="cannot be unpacked: CRC check failed"):
        unpack(tmp_path / "a", {"movies.csv": tmp_path / "m.csv"})
    assert names(tmp_path) == ["a"]


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("<html>")
    with pytest.raises(DataError, match=r"neither a \.zip nor a \.tar\.gz"):
        unpack(tmp_path / "a.zip", {"f.csv": tmp_path / "f.csv"})
    with pytest.raises(DataError, match="No such file"):
        unpack(tmp_path / "b.zip", {"f.csv": tmp_path / "f.csv"})


# --- DVC ---------------------------------------------------------------------------------------

SMALL = b"user,item,rating\n" + b"1,2,3\n" * 1000


@pytest.fixture
def dvc_project(tmp_path: Path) -> Path:
    """A project as a fresh clone has it, as far as DVC and git look at it."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc" / "config")
    shutil.copy(ROOT / ".gitignore", root / ".gitignore")
    run(root, "git", "init", "-q")
    return root


def run(root: Path, *command: str) -> str:
    program = [sys.executable, "-m", "dvc"] if command[0] == "dvc" else [command[0]]
    done = subprocess.run(
        [*program, *command[1:]], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_download_in_dvc(
    shelf: Shelf, dvc_project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = dvc_project
    url = shelf.put("ratings.csv", content=SMALL)
    path = root / "data" / "downloads" / "movielens" / "ratings.csv"
    download(url, path)
    shelf.forget()
    capfd.readouterr()
    record = track_download(url, path, root)

    assert capfd.readouterr().out == ""
    assert record == path.with_name("ratings.csv.dvc")
    content = yaml.safe_load(record.read_text("utf-8"))
    md5 = hashlib.md5(SMALL).hexdigest()  # noqa: S324
    assert content["frozen"] is True
    assert content["deps"] == [
        {"path": url, "checksum": '"one"', "size": len(SMALL), "hash": "md5"}
    ]
    assert content["outs"] == [
        {"path": "ratings.csv", "md5": md5, "size": len(SMALL), "hash": "md5"}
    ]
    cached = root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    assert cached.read_bytes() == SMALL
    assert path.read_bytes() == SMALL

    # git gets the record and nothing else of what is under data/
    partial = path.with_name("other.csv.partial")
    partial.write_text("")
    run(root, "git", "add", "-A")
    tracked = run(root, "git", "ls-files", "data").split()
    assert tracked == ["data/downloads/movielens/ratings.csv.dvc"]

    # the same again changes nothing
    before = record.read_text("utf-8")
    assert track_download(url, path, root) == record
    assert record.read_text("utf-8") == before

    assert "up to date" in run(root, "dvc", "status")
    assert "didn't change" in run(root, "dvc", "update", str(record))

    # a remote brings it back, without the server that it came from
    remote = tmp_path / "remote"
    run(root, "dvc", "remote", "add", "--default", "here", str(remote))
    run(root, "dvc", "push")
    shutil.rmtree(root / ".dvc" / "cache")
    path.unlink()
    shelf.items.clear()
    run(root, "dvc", "pull")
    assert path.read_bytes() == SMALL

    newer = SMALL + b"2,3,4\n"
    shelf.put("ratings.csv", content=newer, etag='"two"')
    run(root, "dvc", "update", str(record))
    assert path.read_bytes() == newer
    assert yaml.safe_load(record.read_text("utf-8"))["deps"][0]["checksum"] == '"two"'
    assert "up to date" in run(root, "dvc", "status")


def test_the_bytes_are_not_downloaded_again(shelf: Shelf, dvc_project: Path) -> None:
    # DVC looks whether the file is there by a GET that it leaves unread; one that was read would
    # not end before `resumed`.
    url = shelf.put("f.csv", content=CONTENT * 10, pause_at=0)
    path = dvc_project / "data" / "downloads" / "d" / "f.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT * 10)
    began = time.monotonic()
    track_download(url, path, dvc_project)
    assert time.monotonic() - began < 15
    assert shelf.n_sent == 0


def test_a_server_without_tags(shelf: Shelf, dvc_project: Path) -> None:
    url = shelf.put("f.csv", content=SMALL, etag=None, modified=None)
    path = dvc_project / "data" / "downloads" / "d" / "f.csv"
    download(url, path)
    record = track_download(url, path, dvc_project)
    assert yaml.safe_load(record.read_text("utf-8"))["deps"][0]["size"] == len(SMALL)
    assert "up to date" in run(dvc_project, "dvc", "status")


def test_relative_paths_in_the_project(
    shelf: Shelf, dvc_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dvc_project)
    path = Path("data/downloads/d/f.csv")
    url = shelf.put("f.csv", content=SMALL)
    download(url, path)
    assert track_download(url, path) == Path("data/downloads/d/f.csv.dvc")


def test_a_tracked_download_is_no_stage_of_the_pipeline(
    shelf: Shelf, dvc_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dvc_project)
    path = dvc_project / "data" / "downloads" / "d" / "f.csv"
    url = shelf.put("f.csv", content=SMALL)
    download(url, path)
    track_download(url, path, dvc_project)
    stage = {"cmd": "true", "deps": ["data/downloads/d/f.csv"]}
    (dvc_project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"first": stage}}))
    assert stage_addresses() == ["first"]
    assert bring_up_to_date(["first"])
    assert not bring_up_to_date(["first"])


def test_what_cannot_be_recorded_leaves_no_record(shelf: Shelf, dvc_project: Path) -> None:
    url = shelf.put("f.csv", content=SMALL + b"more")
    folder = dvc_project / "data" / "downloads" / "d"
    folder.mkdir(parents=True)
    path = folder / "f.csv"
    with pytest.raises(DataError, match="download it first"):
        track_download(url, path, dvc_project)
    path.write_bytes(SMALL)
    with pytest.raises(DataError, match=r"has 6,021 bytes, .*f\.csv has 6,017"):
        track_download(url, path, dvc_project)
    with pytest.raises(ProviderError, match="does not answer"):
        track_download(shelf.url("gone.csv"), path, dvc_project)
    with pytest.raises(UsageError, match="would be stored in git"):
        track_download(f"{url}?token=k3y", path, dvc_project)
    with pytest.raises(UsageError, match="outside of the project"):
        track_download(url, dvc_project.parent / "f.csv", dvc_project)
    assert not list(folder.glob("*.dvc"))

    # one that was there stays as it was
    shelf.put("f.csv", content=SMALL)
    record = track_download(url, path, dvc_project)
    before = record.read_bytes()
    shelf.items.clear()
    with pytest.raises(ProviderError):
        track_download(url, path, dvc_project)
    assert record.read_bytes() == before


def test_a_folder_that_is_no_dvc_project(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(SMALL)
    with pytest.raises(UsageError, match="`escalometer init`"):
        track_download("http://127.0.0.1/f.csv", path, tmp_path)
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(UsageError, match="`git init`"):
        track_download("http://127.0.0.1/f.csv", path, tmp_path)
