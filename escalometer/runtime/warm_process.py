"""A process that imports once and forks for each command that it is sent, on Linux.

`serve` waits at a Unix socket for what `escalometer.runtime.warm_client` sends. Where its code is
not the code on disk any more, it sends nothing back, and the client runs the command itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import error as StructError  # noqa: N812 - a class
from typing import Any

from escalometer.runtime.interruption import end_with_parent
from escalometer.runtime.warm_client import LENGTH, PACKAGE, VARIABLE, received

#: Starts a server: `escalometer serve-stages SOCKET`, which only `warmed` calls.
COMMAND = "serve-stages"

#: Beside the socket: what each command used, one JSON object a line.
USAGE = "usage.jsonl"

_EVERY_S = 0.5
_MOST_BYTES = 1 << 24


def code_on_disk() -> list[tuple[str, int, int]]:
    """Return path, time and size of the package's source files, which tell that code changed."""
    stats = {path: path.stat() for path in Path(PACKAGE).rglob("*.py")}
    return sorted((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats.items())


@dataclass
class _Running:
    """A forked command: its client's connection, what it is, and when it began."""

    connection: socket.socket
    arguments: list[str]
    began: float


def serve(address: Path, modules: Callable[[Sequence[str]], Sequence[str]]) -> list[str] | None:
    """Fork for each command sent to `address`, until the parent process ends.

    Parameters
    ----------
    address : Path
        Where to make the socket; only this user may reach it.
    modules : callable
        Takes a command's arguments and returns the modules to import before it is forked; of no
        arguments, those that are imported at once.

    Returns
    -------
    list of str or None
        In a forked process the arguments of the command to run; None in the server, at its end.
    """
    parent = os.getppid()
    code = code_on_disk()
    running: dict[int, _Running] = {}
    wake_up, wake = socket.socketpair()
    wake_up.setblocking(False)
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # commands and their flow handle it
    signal.set_wakeup_fd(wake.fileno())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(address))
        address.chmod(0o600)
        listener.listen()
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(wake_up, selectors.EVENT_READ)
            _import(modules([]))
            while os.getppid() == parent:
                for key, _ in selector.select(_EVERY_S):
                    if key.fileobj is listener:
                        connection, _ = listener.accept()
                        arguments = _begin(connection, code, modules, running, selector)
                        if arguments is not None:
                            return arguments
                    elif key.fileobj is wake_up:
                        with contextlib.suppress(BlockingIOError):
                            wake_up.recv(4096)
                    else:  # a client has ended: so does its command
                        selector.unregister(key.fileobj)
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(key.data, signal.SIGTERM)
                _collect(running, selector, address.parent / USAGE)
    return None


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    gc.freeze()  # a forked process that looked for garbage in this would copy it


def _begin(
    connection: socket.socket,
    code: list[tuple[str, int, int]],
    modules: Callable[[Sequence[str]], Sequence[str]],
    running: dict[int, _Running],
    selector: selectors.BaseSelector,
) -> list[str] | None:
    """Fork for a request; return its arguments in the new process, None in this one."""
    connection.settimeout(10)
    try:
        head, streams, _, _ = socket.recv_fds(connection, LENGTH.size, 3)
        head += received(connection, LENGTH.size - len(head))
        request = json.loads(received(connection, min(LENGTH.unpack(head)[0], _MOST_BYTES)))
    except (OSError, ValueError, StructError):
        connection.close()
        return None
    is_same = request["python"] == [sys.executable, PACKAGE] and code == code_on_disk()
    server, pid = os.getpid(), -1
    if is_same:
        _import(modules(request["arguments"]))
        with contextlib.suppress(OSError):  # no memory for a second process: the client runs it
            pid = os.fork()
    if pid == 0:
        _become(connection, streams, request, running)
        end_with_parent(server)
        return list(request["arguments"])
    for stream in streams:
        os.close(stream)
    if pid < 0:
        connection.close()
        return None
    connection.setblocking(False)
    running[pid] = _Running(connection, request["arguments"], time.monotonic())
    with contextlib.suppress(OSError):
        connection.send(b"+")
    selector.register(connection, selectors.EVENT_READ, pid)
    return None


def _become(
    connection: socket.socket,
    streams: Sequence[int],
    request: Mapping[str, Any],
    running: Mapping[int, _Running],
) -> None:
    """Take a client's streams, folder and environment, in a forked process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    connection.close()
    for other in running.values():
        other.connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for text in (sys.stdout, sys.stderr):
        if hasattr(text, "reconfigure"):
            text.reconfigure(line_buffering=text is sys.stderr or text.isatty())
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])


def _collect(running: dict[int, _Running], selector: selectors.BaseSelector, usage: Path) -> None:
    """Send the exit codes of commands that have ended to their clients."""
    for pid, one in list(running.items()):
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if not ended:
            continue
        del running[pid]
        number = os.waitstatus_to_exitcode(status)
        record = {
            "arguments": one.arguments,
            "wall_s": time.monotonic() - one.began,
            "processor_s": used.ru_utime + used.ru_stime,
            "peak_bytes": used.ru_maxrss * 1024,
        }
        with usage.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        with contextlib.suppress(KeyError, ValueError):
            selector.unregister(one.connection)
        with contextlib.suppress(OSError):
            one.connection.send(LENGTH.pack(128 - number if number < 0 else number))
        one.connection.close()


@contextlib.contextmanager
def warmed() -> Iterator[Path | None]:
    """Start a server, name it in the environment, and yield its folder; None where none can run."""
    if sys.platform != "linux":  # elsewhere libraries do not survive a fork
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="escalometer-") as name:
        folder = Path(name)
        address = folder / "socket"
        try:
            # -P: the same package as that of the commands, whatever the folder holds.
            command = [sys.executable, "-P", "-m", "escalometer", COMMAND, str(address)]
            server = subprocess.Popen(command)  # noqa: S603
        except OSError:  # no memory for a second process
            yield None
            return
        os.environ[VARIABLE] = str(address)
        try:
            _wait_for(address, server)
            yield folder
        finally:
            del os.environ[VARIABLE]
            server.terminate()
            server.wait()


def _wait_for(address: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while not address.exists() and server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def read_usage(folder: Path) -> list[dict[str, Any]]:
    """Return what each command used: arguments, wall_s, processor_s, peak_bytes."""
    path = folder / USAGE
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
