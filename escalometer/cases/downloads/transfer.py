"""The transfer of a file over HTTP: requests, servers' answers, and retries."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import (
    HTTPError,
    NameResolutionError,
)  # requests' `raw` raises urllib3's own

from escalometer.cases.downloads.partial import Partial, Version, claimed
from escalometer.cases.downloads.published import Published, spell_url
from escalometer.errors import DataError
from escalometer.runtime.progress import Meter, progress

#: Seconds to wait before each further attempt; counted again whenever more of the file has come.
RETRY_WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)

#: Seconds to wait for a connection, and between two pieces of an answer.
TIMEOUT_S = (20.0, 60.0)

_CHUNK = 1 << 16  # at most this much is lost with a connection
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_LONGEST_RETRY_AFTER_S = 60.0
_HEADERS = {
    "User-Agent": "escalometer",
    "Accept-Encoding": "identity",  # else sizes and ranges would be of compressed bytes
}


class _Broken(Exception):
    """The transfer broke off; another attempt may bring the rest."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _Refused(Exception):
    """The server does not give the file; another attempt right now changes nothing."""


class _Session(requests.Session):
    """A session that follows redirects to http and https only, and never from https to http."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None:
            scheme = urlsplit(urljoin(resp.url, target)).scheme
            safe = ("https",) if resp.url.startswith("https:") else ("https", "http")
            if scheme not in safe:
                raise _Refused(f"the server redirects to an insecure address ({scheme}:)")
        return target


def download(
    url: str, path: Path, *, n_bytes: int | None = None, checksum: str | None = None
) -> str:
    """Bring a public file to `path`, unless it is there already, and return its sha256.

    The bytes go to `<path>.partial`, which is renamed when whole and verified: there never is half
    a file at `path`. After an interruption the download resumes, provided that the server confirms
    (ETag, Last-Modified) that the file is unchanged.

    Parameters
    ----------
    url : str
        An ``http`` or ``https`` address that needs no login; redirects are followed.
    path : Path
        Where the file goes. One that is there and has the published size and checksum is kept
        without asking the server; where neither is published, being there is enough. Any other
        is replaced once the download is verified.
    n_bytes : int, optional
        The published size, in bytes.
    checksum : str, optional
        The published digest: ``"sha256:<hex>"`` or ``"md5:<hex>"``.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    UsageError
        If the address or the checksum is malformed, the address holds a user's name, or the folder
        cannot be written to.
    DataError
        If the file is not the published one (nothing of it is kept then), its completeness cannot
        be checked, or there is no room for it.
    ProviderError
        If the server cannot be reached or does not give the file, or another process is bringing
        it. What came so far is kept.
    """
    published = Published.of(url, path, n_bytes, checksum)
    fault = ""
    if path.exists():
        sha256, fault = published.examine(path)
        if not fault:
            return sha256
    with claimed(published) as partial:
        with progress(f"downloading {path.name}", n_bytes, "bytes") as meter:
            if fault:
                meter.note(f"{path} is not the published file ({fault}): downloading that")
            meter.advance(partial.n_kept, free=True)
            _bring(published, partial, meter)
        sha256, fault = published.examine(partial.path)
        if fault:
            partial.drop()
            raise published.changed(fault)
        partial.finish(path)
    return sha256


def _bring(published: Published, partial: Partial, meter: Meter) -> None:
    """Bring the rest of the file, retrying as long as each attempt brings more of it."""
    n_failed, furthest = 0, partial.size
    with _Session() as session:
        while True:
            try:
                return _attempt(session, published, partial, meter)
            except _Refused as error:
                raise published.failed(str(error), partial.n_kept) from error
            except _Broken as error:
                # Counted from the furthest point: starting over each time makes no progress.
                if partial.size >= furthest + _CHUNK:
                    n_failed, furthest = 0, partial.size
                if n_failed == len(RETRY_WAITS_S):
                    raise published.failed(str(error), partial.n_kept) from error
                wait_s = max(RETRY_WAITS_S[n_failed], error.wait_s)
                n_failed += 1
                meter.note(f"{published.path.name}: {error}; retrying in {wait_s:g} s")
                time.sleep(wait_s)


def _attempt(
    session: requests.Session, published: Published, partial: Partial, meter: Meter
) -> None:
    """Request the missing bytes and append them; return when the file is whole."""
    version, n_kept = partial.version, partial.n_kept
    if version is not None and n_kept and n_kept == version.n_bytes:
        meter.total = n_kept
        return  # it was stopped between the last byte and the check
    if published.n_bytes is not None:
        published.check_space(published.n_bytes - n_kept)
    headers = dict(_HEADERS)
    if version is not None and n_kept:
        headers |= {"Range": f"bytes={n_kept}-", "If-Range": version.condition()}
    response = _ask(session, published, headers)
    goes_on = n_kept > 0 and _goes_on(response, version, n_kept)
    if n_kept and not goes_on and response.status_code in (206, 416):
        response.close()
        response = _ask(session, published, _HEADERS)
    with response:
        if not goes_on:
            version = _begin(response, published, partial)
            meter.restart()
        meter.total = version.n_bytes if version and version.n_bytes else published.n_bytes
        if meter.total is not None:
            published.check_space(meter.total - partial.size)
        _copy(response, published, partial, meter)
    meter.total = meter.done


def _ask(
    session: requests.Session, published: Published, headers: Mapping[str, str]
) -> requests.Response:
    try:
        response = session.get(published.url, headers=headers, stream=True, timeout=TIMEOUT_S)
    except (requests.ConnectionError, requests.Timeout) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise _Refused("this machine does not trust the server's certificate") from error
        raise _Broken(_spell_error(error, published.url)) from error
    except requests.RequestException as error:  # redirects without end, or to no address
        raise _Refused(f"the address is not valid ({type(error).__name__})") from error
    if response.status_code in _TRANSIENT:
        response.close()
        asked = response.headers.get("Retry-After", "")
        wait_s = min(float(asked), _LONGEST_RETRY_AFTER_S) if asked.isdecimal() else 0.0
        raise _Broken(_spell_status(response), wait_s)
    return response


def _goes_on(response: requests.Response, version: Version | None, n_kept: int) -> bool:
    """Return true if the answer continues the partial file: some servers ignore If-Range."""
    headers = response.headers
    span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("Content-Range", "").strip())
    if response.status_code != 206 or span is None or version is None:
        return False
    n_bytes = version.n_bytes or int(span[2]) + 1
    return (
        int(span[1]) == n_kept
        and int(span[2]) + 1 == n_bytes
        and span[3] in ("*", str(n_bytes))
        and headers.get("ETag", version.etag) == version.etag
        and headers.get("Last-Modified", version.last_modified) == version.last_modified
    )


def _begin(response: requests.Response, published: Published, partial: Partial) -> Version:
    """Start over with an answer that is the whole file, and refuse any other."""
    if response.status_code != 200:
        raise _Refused(_spell_status(response))
    headers, suffix = response.headers, published.path.suffix.lower()
    # Servers call a stored .tar.gz "encoded"; with any other encoding the bytes are not the file's.
    encoding = headers.get("Content-Encoding", "")
    if encoding not in ("", "identity") and suffix not in (".gz", ".tgz"):
        raise _Refused(f"the server sends compressed data ({encoding}) against the request")
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not published.digest and kind == "text/html" and suffix not in (".html", ".htm"):
        raise _Refused("the server sends a web page instead, perhaps for a login")
    length = headers.get("Content-Length", "")
    n_bytes = int(length) if length.isdecimal() else None
    if n_bytes is not None and published.n_bytes not in (None, n_bytes):
        partial.drop()
        raise published.changed(f"the server has {n_bytes:,} bytes, expected {published.n_bytes:,}")
    is_verifiable = n_bytes is not None or published.n_bytes is not None or published.digest
    if not is_verifiable and not _is_chunked(response):
        raise DataError(
            f"the server of {spell_url(published.url)} does not state the file's length, and "
            "neither size nor checksum is known here, so completeness cannot be verified. "
            f"Download it by hand and put it at {published.path}."
        )
    version = Version(published.url, headers.get("ETag"), headers.get("Last-Modified"), n_bytes)
    partial.begin(version)
    return version


def _copy(
    response: requests.Response, published: Published, partial: Partial, meter: Meter
) -> None:
    total = meter.total
    try:
        # `raw`, since requests would undo a .gz on the way.
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            partial.write(chunk)
            meter.advance(len(chunk))
            if total is not None and partial.size > total:
                return  # the check reports it; the rest is not needed
    except (HTTPError, OSError) as error:
        raise _Broken(_spell_error(error, published.url)) from error
    # Chunks mark the file's end; a plain connection that ends does not.
    if total is not None and partial.size < total and not _is_chunked(response):
        raise _Broken("the connection ended before the end of the file")


def _is_chunked(response: requests.Response) -> bool:
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()


def _spell_error(error: Exception, url: str) -> str:
    """Return the reason of a failed connection, without the address, which may hold a key."""
    host = urlsplit(url).hostname
    inner = error.args[0] if error.args else None
    cause = getattr(inner, "reason", inner)
    if isinstance(cause, NameResolutionError):
        return f"the server's name ({host}) cannot be resolved: check the network"
    if isinstance(error, requests.Timeout) or "timed out" in str(cause):
        return f"{host} did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return f"no secure connection to {host}"
    if isinstance(error, requests.ConnectionError):
        return f"no connection to {host}"
    return "the connection broke"


def _spell_status(response: requests.Response) -> str:
    code = response.status_code
    status = f"the server answers {code} {response.reason or ''}".rstrip()
    if code in (401, 403):
        return f"{status}: the file requires a login, or is not available to programs"
    if code in (404, 410):
        return f"{status}: the file does not exist; see its publisher's page"
    return status
