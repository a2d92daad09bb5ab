"""A vLLM server of this process: started once, awaited, and ended with the process."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from escalometer.errors import Outage, ProviderError
from escalometer.runtime.child_process import command_of
from escalometer.runtime.locks import holder, try_lock
from escalometer.runtime.progress import spell_duration

#: The environment variable by which vLLM takes a key: an argument would show in lists of processes.
KEY_NAME = "VLLM_API_KEY"
_N_LINES = 15  # of a failed server's log, in the message
_LOOK_S = 0.5
_SAY_EVERY_S = 30.0
_TIMEOUT_S = 3.0
#: Names of variables that a server does not need, and must not be given.
_SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def version_at(base_url: str) -> str:
    """Return the version of the vLLM server at a base URL, with or without its ``/v1``.

    Raises
    ------
    Outage
        If no vLLM server answers there.
    """
    address = base_url.rstrip("/").removesuffix("/v1")
    status, raw = _get(f"{address}/version")
    with contextlib.suppress(ValueError, TypeError, KeyError):
        if status == 200:
            return str(json.loads(raw)["version"])
    raise Outage(
        f"no vLLM server answers at {address}/version. Check that the server is running and that "
        "the address is right; `serving.version` in the card makes keys of stored answers known "
        "without the server"
    )


def _get(url: str) -> tuple[int, bytes]:
    """Return status and body of a request without proxies; status 0 where nothing answers."""
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", address.path)
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


class Server:
    """A server's process.

    Parameters
    ----------
    name : str
        Of the model, for messages.
    port : int
        Where it listens.
    log : Path
        The file of its output, which is replaced.
    startup_s : float
        Seconds until it must be ready.

    Attributes
    ----------
    key : str
        What requests must contain: drawn at random, and passed on in the environment alone.
    """

    def __init__(self, name: str, port: int, log: Path, startup_s: float) -> None:
        self.key = secrets.token_urlsafe(32)
        self._name = name
        self._port = port
        self._log = log
        self._startup_s = startup_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """True if it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    async def start(
        self, command: Sequence[str], environment: Mapping[str, str], lock: Path
    ) -> None:
        """Start the server and return when it is ready.

        Parameters
        ----------
        command : sequence of str
            The program and its arguments.
        environment : mapping of str to str
            Of which it gets all but secrets.
        lock : Path
            Held while it runs: two servers would not find the memory of the GPUs free.

        Raises
        ------
        ProviderError
            If it ends before it is ready, with the last lines of its log, or takes too long.
        """
        held = await self._acquire(lock)
        try:
            given = {
                name: value
                for name, value in environment.items()
                if not any(part in name.upper() for part in _SECRET_NAMES)
            }
            given |= {KEY_NAME: self.key, "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
            self._log.parent.mkdir(parents=True, exist_ok=True)
            print(f"{self._name}: starting vLLM; its log is {self._log}", file=sys.stderr)
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603
                    command_of(list(command)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=given,
                    start_new_session=True,
                    pass_fds=[held],  # locked until the last process that has it ends
                )
        finally:
            os.close(held)
        atexit.register(self.stop)
        try:
            await self._wait()
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """Raise `ProviderError`, with the last lines of its log, if the server has ended."""
        if not self.is_running:
            raise ProviderError(f"{self._name}: vLLM has ended. {self._last_lines()}")

    def stop(self) -> None:
        """End the server and the processes that it has started."""
        atexit.unregister(self.stop)
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    async def _acquire(self, lock: Path) -> int:
        said = False
        while (held := try_lock(lock)) is None:
            if not said:
                print(
                    f"{self._name}: waiting for the vLLM server of {holder(lock)} to end",
                    file=sys.stderr,
                )
                said = True
            await asyncio.sleep(_LOOK_S)
        return held

    async def _wait(self) -> None:
        began = said_at = time.monotonic()
        while True:
            status, _ = await asyncio.to_thread(_get, f"http://127.0.0.1:{self._port}/health")
            if not self.is_running:
                raise ProviderError(
                    f"{self._name}: vLLM ended before it was ready. {self._last_lines()}"
                )
            now = time.monotonic()
            if status == 200:
                took = spell_duration(now - began)
                print(f"{self._name}: vLLM is ready after {took}", file=sys.stderr)
                return
            if now - began > self._startup_s:
                raise ProviderError(
                    f"{self._name}: vLLM was not ready within {self._startup_s:g} s "
                    f"(serving.startup_s in the card). {self._last_lines()}"
                )
            if now - said_at > _SAY_EVERY_S:
                print(f"{self._name}: vLLM starts: {spell_duration(now - began)}", file=sys.stderr)
                said_at = now
            await asyncio.sleep(_LOOK_S)

    def _last_lines(self) -> str:
        text = self._log.read_text("utf-8", errors="replace").replace(self.key, "[key]")
        lines = text.strip().splitlines()[-_N_LINES:]
        if not lines:
            return f"It printed nothing to {self._log}."
        return f"The last lines of {self._log}:\n" + "\n".join(f"  {line}" for line in lines)
