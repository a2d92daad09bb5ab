"""A real PostgreSQL server for tests, from the programs of Debian's package."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD = "escalometer", "s3cret-pa/ss@word"
QUOTED = "s3cret-pa%2Fss%40word"


def programs() -> Path | None:
    """Return the folder of the server's programs, None if no server is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    path = shutil.which("postgres")
    return Path(path).resolve().parent if path else None


def need_programs() -> Path:
    """Return the folder of the server's programs; skip without them, but fail in CI."""
    if (found := programs()) is not None:
        return found
    missing = "no PostgreSQL server is installed: apt-get install postgresql"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@dataclass
class Server:
    """A server on loopback that can be stopped and started again.

    Attributes
    ----------
    folder : Path
        Its data.
    port : int
        Its port.
    """

    bin: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def address(
        self, database: str = "postgres", *, schema: str = "", password: bool = True
    ) -> str:
        """Return the address of a database."""
        user = f"{USER}:{QUOTED}" if password else USER
        options = f"?options=-csearch_path%3D{schema}" if schema else ""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}{options}"

    def start(self) -> None:
        """Start the server, and return when it takes connections."""
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [
                *(self.bin / "postgres", "-D", self.folder / "data", "-p", str(self.port)),
                *("-c", "listen_addresses=127.0.0.1"),
                *("-c", f"unix_socket_directories={self.folder}"),
            ],
            stdout=log,
            stderr=log,
            cwd=self.folder,
            **_as_postgres(),
        )
        log.close()
        ready = [self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        for _ in range(300):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            assert self.process.poll() is None, (self.folder / "log").read_text("utf-8")
            time.sleep(0.1)
        raise AssertionError("the server does not take connections")

    def stop(self, by: signal.Signals = signal.SIGINT) -> None:
        """End the server at once, with all of its sessions."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(by)
            self.process.wait(60)
        self.process = None

    def execute(self, statement: str) -> list[Any]:
        """Run a statement as the user of the tests, and return its rows."""
        import psycopg

        with psycopg.connect(self.address(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def _as_postgres() -> dict[str, Any]:
    """Return what starts a process as a user that the server runs as: it refuses root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}


@contextlib.contextmanager
def serving() -> Any:
    """Yield a server with an empty cluster for the block."""
    found = need_programs()
    # Not in pytest's folder: the user of the server may not enter it.
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        password = folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        password.chmod(0o644)
        subprocess.run(
            [
                *(found / "initdb", "-D", folder / "data", "-U", USER, "-A", "scram-sha-256"),
                *("--pwfile", password, "-E", "UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **_as_postgres(),
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Server(found, folder, port)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
