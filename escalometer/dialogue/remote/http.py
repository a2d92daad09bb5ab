"""HTTP to one endpoint, with its key: single attempts, whose failures are values.

The key is in the session's headers and nowhere else. It follows no redirect, and it is taken out
of every byte that the server sends before anything else looks at them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.remote.chat import endpoint_of
from escalometer.dialogue.remote.failures import Failure
from escalometer.errors import ProviderError, UsageError

_CONNECT_S = 20.0
_INSTEAD = b"[key]"
#: Takes a key for its list of models in a header of its own.
_ANTHROPIC = "api.anthropic.com"


@dataclass(frozen=True)
class Reply:
    """A reply: status, case-insensitive headers, the whole body, and its connection."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    connection: Any = None

    def drop_connection(self) -> None:
        """Close the connection; a request that is on it breaks."""
        if self.connection is not None:
            self.connection.close()


#: The connection that a task's last request went over.
_used: ContextVar[Any] = ContextVar("_used", default=None)


class _Connector(aiohttp.TCPConnector):
    """A pool that discards a connection with unrequested bytes on it.

    A response that is sent twice would otherwise be taken for the answer to the next request.
    """

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        while True:
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                _used.set(connection.protocol)
                return connection
            connection.close()


class _Hidden:
    """A key that must not be seen, as it is and as JSON has it; its repr does not show it."""

    __slots__ = ("_forms",)

    def __init__(self, key: str = "") -> None:
        self._forms = {key.encode(), json.dumps(key)[1:-1].encode()} - {b""}

    def out_of(self, raw: bytes) -> bytes:
        """Return `raw` without it."""
        for form in self._forms:
            if form in raw:
                raw = raw.replace(form, _INSTEAD)
        return raw


class Client:
    """One endpoint over a pool of connections.

    Parameters
    ----------
    card : ModelCard
        Has an endpoint.
    workspace : Workspace
        Has the keys, and says which proxy stands between.
    """

    def __init__(self, card: ModelCard, workspace: Workspace) -> None:
        self._id = card.id
        self._endpoint = endpoint_of(card)
        self._workspace = workspace  # whose repr leaves the secrets out
        self._session: aiohttp.ClientSession | None = None
        self._hidden = _Hidden()

    def _key(self) -> str | None:
        name = self._endpoint.key_env
        if name is None:
            return None
        key = self._workspace.secrets.get(name, "").strip()
        if not key:
            raise UsageError(
                f"{self._id}: the environment variable {name} is not set. Put the endpoint's API "
                f"key there: export {name}=…"
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise UsageError(f"{self._id}: {name} contains characters that no API key has")
        return key

    def _proxy(self) -> str | None:
        address = urlsplit(self._endpoint.base_url)
        host = address.hostname or ""
        found = {
            name: self._workspace.secrets.get(f"{name}_proxy")
            or self._workspace.secrets.get(f"{name}_PROXY".upper())
            for name in ("http", "https", "all", "no")
        }
        is_near = host in ("localhost", "127.0.0.1", "::1")
        direct = [name.strip().lstrip(".") for name in (found["no"] or "").split(",")]
        if is_near or any(n == "*" or (n and f".{host}".endswith(f".{n}")) for n in direct):
            return None
        return found[address.scheme] or found["all"]

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Hold connections open.

        Raises
        ------
        UsageError
            If the card names a key that the environment does not have.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = self._key()
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
            self._hidden = _Hidden(key)
        timeout = aiohttp.ClientTimeout(
            total=self._endpoint.timeout_s,
            sock_connect=min(_CONNECT_S, self._endpoint.timeout_s),
        )
        async with aiohttp.ClientSession(
            connector=_Connector(limit=0),  # the limiter limits
            headers=headers,
            timeout=timeout,
            proxy=self._proxy(),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=["User-Agent"],
        ) as self._session:
            try:
                yield
            finally:
                self._session = None

    async def list_models(self, timeout_s: float) -> Reply | Failure:
        """Return the reply to the request for the endpoint's list of models, or its failure."""
        if urlsplit(self._endpoint.base_url).hostname != _ANTHROPIC:
            return await self.send("GET", "/models", timeout_s=timeout_s)
        headers = {"x-api-key": self._key() or "", "anthropic-version": "2023-06-01"}
        return await self.send("GET", "/models?limit=1000", headers=headers, timeout_s=timeout_s)

    def redacted(self, text: str) -> str:
        """Return `text` without the key."""
        return self._hidden.out_of(text.encode()).decode()

    async def send(
        self,
        method: str,
        path: str,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Reply | Failure:
        """Return the reply to one request, with any status, or the failure in its place.

        Parameters
        ----------
        method, path : str
            `path` is put after the card's base URL.
        data : Any
            The body: bytes, or a form.
        headers : mapping of str to str or None
            In place of those of the session, where they differ.
        timeout_s : float or None
            In place of the card's, for what is large.
        """
        if self._session is None:
            raise ProviderError(f"{self._id} was asked outside of its session")
        url = self._endpoint.base_url.rstrip("/") + path
        limit = aiohttp.ClientTimeout(timeout_s) if timeout_s else self._session.timeout
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            failure = self._explain(error)
        else:
            return Reply(response.status, response.headers, self._hidden.out_of(raw), _used.get())
        return failure

    def _explain(self, error: Exception) -> Failure:
        """Return the failure of an exception, unchained: some hold the request's headers."""
        said = self.redacted(str(error)) or type(error).__name__
        where = self._endpoint.base_url
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.InvalidURL):
            return Failure("fatal", f"no connection to {where}: {said}")
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return Failure("away", f"no connection to {where}: {said}")
        if isinstance(error, asyncio.TimeoutError):
            return Failure(
                "overload", f"no answer within {self._endpoint.timeout_s:g} s (timeout_s)"
            )
        return Failure("again", f"the connection broke: {said}")
