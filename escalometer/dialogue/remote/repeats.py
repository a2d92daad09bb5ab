"""Detection of answers that a server sent again in place of the next request's.

HTTP gives an answer to whoever asked last on a connection, so a copy that comes late would be
taken for somebody else's answer. The pool drops connections on which something came unasked; this
is for a copy that comes when the next request is already under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MOST = 4096  # answers to remember: far more than are under way


class Repeats:
    """The ids and contents of the last answers, and the requests that they answered."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int]] = {}
        self._n_answers = 0
        self._n_new = 0

    def is_repeat(self, answer: Mapping[str, Any], raw: bytes, sent: bytes) -> bool:
        """Return true if an answer is, byte by byte, one that another request had already.

        Parameters
        ----------
        answer : mapping
            The decoded answer; one without an id tells nothing.
        raw, sent : bytes
            The answer and the request as they went over the wire.

        Notes
        -----
        Servers that give all answers one id, or one of a few, are found out and believed.
        """
        name = answer.get("id")
        if not isinstance(name, str) or not name:
            return False
        self._n_answers += 1
        asked, said = hash(sent), hash(raw)
        known = self._known.get(name)
        if known is not None:
            is_copy = known[0] != asked and known[1] == said
            return is_copy and self._n_new >= 2 and 2 * (self._n_new + 1) >= self._n_answers
        self._n_new += 1
        self._known[name] = (asked, said)
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return False
