"""Requests under way: their prompts, their answers so far, and the cached rows they continue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from escalometer.dialogue.providers import Request
from escalometer.dialogue.providers.local.writing import Answer

if TYPE_CHECKING:
    from escalometer.dialogue.providers.local.decoding import CachedRow


@dataclass
class Job:
    """One request under way.

    Attributes
    ----------
    index : int
        Of the request, among those of the call.
    answer : Answer
        What is written so far.
    prompt : list of int
        Tokens of the conversation.
    endings : list of list of int
        By choice, the tokens of a possible ending; empty where the answer is written.
    cached : CachedRow or None
        The row that it resumes from; once written, its own.
    """

    index: int
    answer: Answer
    prompt: list[int]
    endings: list[list[int]]
    cached: CachedRow | None = None

    @property
    def request(self) -> Request:
        """The request."""
        return self.answer.request

    @property
    def length(self) -> int:
        """The number of slots that the cache must hold in the end."""
        more = 0 if self.request.reads_choice else self.answer.budget
        return len(self.prompt) + more + max(map(len, self.endings), default=0)


def n_unread(job: Job) -> int:
    """Return the number of a prompt's tokens that are not cached."""
    from escalometer.dialogue.providers.local.decoding import n_shared

    return len(job.prompt) - (n_shared(job.cached.tokens, job.prompt) if job.cached else 0)
