"""The place of the completion store: a file, or a PostgreSQL database."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

_SCHEMES = ("postgresql://", "postgres://")
#: Parameters of an address that are shown; others may contain a secret.
_SHOWN = {"connect_timeout", "dbname", "host", "options", "port", "sslmode", "user"}
_HIDDEN = "***"


@dataclass(frozen=True)
class DatabaseAddress:
    """The address of a PostgreSQL database, whose text form has no password.

    Attributes
    ----------
    secret : str
        The address as it was given, with its password: for the connection alone.
    """

    secret: str = field(repr=False)

    def __str__(self) -> str:
        """Return the address without its password, for messages and files."""
        scheme, _, rest = self.secret.partition("://")
        user_info, at, place = _split(rest)
        user = user_info.partition(":")[0]
        place, mark, query = place.partition("?")
        # A password with an unescaped "/" or "@" ends up in a place of another name.
        host, slash, database = place.partition("/")
        name, colon, port = host.rpartition(":")
        if colon and port and not port.isdigit() and not host.endswith("]"):
            host = f"{name}:{_HIDDEN}"
        shown = [part for part in query.split("&") if part.partition("=")[0] in _SHOWN]
        ending = mark + "&".join(shown) if shown else ""
        return f"{scheme}://{user}{at}{host}{slash}{database}{ending}"

    def __repr__(self) -> str:
        """Return a form without the password."""
        return f"DatabaseAddress({str(self)!r})"

    def redacted(self, message: str) -> str:
        """Return a message of the server or the driver without the address's secrets."""
        if self._is_torn:  # the driver quotes parts of the password as a host or a port
            return "special characters of the password must be percent-encoded, such as %2F for /"
        for secret in sorted(self._secrets(), key=len, reverse=True):
            message = message.replace(secret, _HIDDEN)
        return message

    @property
    def _is_torn(self) -> bool:
        """True if the password has characters that divide an address into its parts."""
        return bool(set("/@") & set(self._password)) or _HIDDEN in str(self)

    @property
    def _password(self) -> str:
        return _split(self.secret.partition("://")[2])[0].partition(":")[2]

    def _secrets(self) -> set[str]:
        found = {self.secret, self._password}
        for part in _split(self.secret.partition("://")[2])[2].partition("?")[2].split("&"):
            name, _, value = part.partition("=")
            if name not in _SHOWN:
                found.add(value)
        return {text for raw in found if raw for text in (raw, unquote(raw))}


def _split(rest: str) -> tuple[str, str, str]:
    """Return user and password, the sign ``@``, and what follows it, of an address's rest."""
    before, mark, query = rest.partition("?")
    user_info, at, place = before.rpartition("@")
    return user_info, at, place + mark + query


def store_place(text: str) -> Path | DatabaseAddress:
    """Return the place of a completion store: an address if it begins as one, else a file.

    Parameters
    ----------
    text : str
        A path, or ``postgresql://user@host/database``.
    """
    if re.match("|".join(_SCHEMES), text):
        return DatabaseAddress(text)
    return Path(text)
