"""An OpenAI-compatible server whose answers depend on the messages alone, with faults on request.

In a test: ``with running(latency=0.1, faults=[{"kind": "reset", "times": 3}]) as server:`` (in a
thread), or ``with in_process(latency=0.1) as server:`` (a separate process, with the same
attributes through its control routes). By hand or in a benchmark::

    python -m tests.integration._server --port 0 --latency 0.1 --faults '[{"kind": "html"}]'

which prints its base URL and has

- ``POST /v1/chat/completions``, ``GET /v1/models``, ``/v1/files``, ``/v1/batches``;
- ``GET /_control/state``: what was asked and answered, by the digest of the messages;
- ``POST /_control/faults`` (a list of faults, in place of those there are),
  ``POST /_control/down`` (``{"seconds": 5}``: refuses connections for so long).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.integration._server_http import Server

_ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def running(**options: Any) -> Iterator[Server]:
    """Run a server in a thread of this process; options as `Server`."""
    server = Server(**options)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.listen(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.shut(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class Remote:
    """A server in a separate process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _control(self, route: str, content: Any = None) -> Any:
        address = self.url.removesuffix("/v1") + "/_control/" + route
        data = None if content is None else json.dumps(content).encode()
        with urllib.request.urlopen(address, data, timeout=30) as response:  # noqa: S310
            return json.load(response)

    def state(self) -> dict[str, Any]:
        """Return the counts, as `Server.state`."""
        return self._control("state")

    def set_faults(self, faults: list[dict[str, Any]]) -> None:
        """Put these faults in the place of those there are."""
        self._control("faults", faults)

    def go_down(self, seconds: float) -> None:
        """Make the server refuse connections for so long."""
        self._control("down", {"seconds": seconds})


@contextlib.contextmanager
def in_process(**options: Any) -> Iterator[Remote]:
    """Run a server in a separate process; options as `Server`."""
    command = [sys.executable, "-m", "tests.integration._server", "--ends-with-input"]
    command += ["--options", json.dumps(options)]
    process = subprocess.Popen(  # its standard input closes when this process ends, and ends it
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
    )
    assert process.stdout is not None
    try:
        yield Remote(process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait(10)


def main() -> None:
    """Run a server until its parent goes away; print its base URL first."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--capacity", type=int)
    parser.add_argument("--key")
    parser.add_argument("--faults", type=json.loads, default=[])
    parser.add_argument("--options", type=json.loads, default={}, help="all of them, as JSON")
    parser.add_argument("--ends-with-input", action="store_true", help="or the parent's death")
    given = vars(parser.parse_args())
    port, options, ends_with_input = (given.pop(k) for k in ("port", "options", "ends_with_input"))

    async def serve() -> None:
        server = Server(**(given | options))
        server.keeps_bodies = False
        await server.listen(port)
        print(server.url, flush=True)
        ended = asyncio.Event()
        if ends_with_input:
            loop = asyncio.get_running_loop()

            def wait_for_parent() -> None:
                sys.stdin.read()
                loop.call_soon_threadsafe(ended.set)

            threading.Thread(target=wait_for_parent, daemon=True).start()
        await ended.wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())


if __name__ == "__main__":
    main()
