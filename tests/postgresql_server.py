"""A PostgreSQL server of this machine's packages, on loopback, in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

#: The user and the password of the server's owner.
USER, PASSWORD = "postgres", "password-of-the-tests"


def programs() -> Path:
    """Return the folder of the newest server's programs; skip the test where there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3])
    )
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Yield the address of a server while the block runs; the data are removed at the end.

    Parameters
    ----------
    folder : Path
        Gets the server's log.
    """
    bin_folder = programs()
    data = Path(tempfile.mkdtemp(prefix="escalometer-postgresql-"))
    owner = {}
    if os.getuid() == 0:  # the server refuses root
        account = pwd.getpwnam(USER)
        os.chown(data, account.pw_uid, account.pw_gid)
        owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    password = data / "password"
    password.write_text(PASSWORD, "utf-8")
    password.chmod(0o644)
    port = _free_port()
    cluster = data / "cluster"
    try:
        _call(
            [
                *(str(bin_folder / "initdb"), "--pgdata", str(cluster), "--username", USER),
                *("--auth", "scram-sha-256", "--pwfile", str(password), "--no-sync"),
                *("--encoding", "UTF8", "--locale", "C.UTF-8"),
            ],
            owner,
        )
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data} "
            "-c fsync=off -c full_page_writes=off -c synchronous_commit=off"
        )
        control = [str(bin_folder / "pg_ctl"), "--pgdata", str(cluster)]
        _call([*control, "--wait", "-l", str(data / "log"), "-o", options, "start"], owner)
        try:
            yield f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            _call([*control, "--mode", "immediate", "stop"], owner)
            shutil.copyfile(data / "log", folder / "postgresql.log")
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _call(command: list[str], owner: dict[str, object]) -> None:
    # To a file and not a pipe, which the server would keep open.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(command, cwd="/", stdout=output, stderr=output, check=False, **owner)
        output.seek(0)
        assert done.returncode == 0, output.read()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
