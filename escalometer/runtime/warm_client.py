"""A stage handed to the warm process of its run, by a process that has imported next to nothing.

It sends arguments, folder, environment and standard streams, and waits for the exit code. Where
there is no such process, the caller runs the command itself, with the same result.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys

#: Names the server's socket, in the environment of commands that may use it.
VARIABLE = "ESCALOMETER_STAGE_SERVER"

#: The package's folder: client and server must run the same code. Without pathlib, as one import
#: less counts here.
PACKAGE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120

#: How lengths and exit codes are sent.
LENGTH = struct.Struct("!I")


def delegate(arguments: list[str]) -> int | None:
    """Return the exit code of a command that the server ran; None if none started it.

    Parameters
    ----------
    arguments : list of str
        Of the command line.
    """
    address = os.environ.get(VARIABLE)
    if not address:
        return None
    request = {
        "arguments": arguments,
        "folder": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ),
        "python": [sys.executable, PACKAGE],
    }
    content = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(address)
            socket.send_fds(connection, [LENGTH.pack(len(content))], [0, 1, 2])
            connection.sendall(content)
            has_begun = connection.recv(1) == b"+"
        except OSError:
            has_begun = False
        if not has_begun:
            return None
        # From here on, Ctrl-C reaches the command as well, which saves its work: wait for it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            code = received(connection, LENGTH.size)
        except OSError:
            code = b""
    if len(code) < LENGTH.size:
        print(
            "the process that ran this stage was killed; run the same command again to resume",
            file=sys.stderr,
        )
        return 128 + signal.SIGKILL
    return int(LENGTH.unpack(code)[0])


def received(connection: socket.socket, n: int) -> bytes:
    """Return the next `n` bytes, fewer if the connection ends before."""
    content = b""
    while len(content) < n and (part := connection.recv(n - len(content))):
        content += part
    return content
