"""An answer while it is written: its end, its thinking, and its closing."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from escalometer.dialogue.parsing import marker_pattern, stop_pattern, strip_thinking
from escalometer.dialogue.providers import Finish, Request

_THOUGHT = re.compile(r"<think>(.*?)(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_OPENING = "<think>"
_CLOSING = "</think>"


@dataclass
class Answer:
    """The text of a model so far, to one request.

    Attributes
    ----------
    request : Request
        The request.
    budget : int
        The most tokens that it may have, thinking included.
    begins_in_thought : bool
        Whether the prompt has opened the think tag.
    decode : callable
        Tokens to text.
    tokens : list of int
        The tokens so far; a token that ends a turn is not among them.
    finish : {"stop", "length", "forced"} or None
        The reason of its end; None before.
    """

    request: Request
    budget: int
    begins_in_thought: bool
    decode: Callable[[list[int]], str]
    tokens: list[int] = field(default_factory=list)
    finish: Finish | None = None
    _text: str | None = None

    def __post_init__(self) -> None:
        self._stop = stop_pattern(self.request.marker, self.request.choices)
        # A token is at least one byte: these hold the marker, the choice and the text after it.
        self._n_tail = len(self.request.marker) + 12

    def add(self, token: int, is_end: bool) -> bool:
        """Add the next token, one that ends a turn if `is_end`; return true at the answer's end."""
        if is_end:
            self.finish = "stop"
            return True
        self.tokens.append(token)
        if self._stop.search(self.decode(self.tokens[-self._n_tail :])):
            whole = self.whole()
            text = strip_thinking(whole)
            if stop_match := self._stop.search(text):
                self._text = whole[: len(whole) - (len(text) - stop_match.end())]
                self.finish = "stop"
        if self.finish is None and len(self.tokens) >= self.budget:
            self.finish = "length"
        return self.finish is not None

    def extend(self, tokens: list[int], ends: Collection[int]) -> bool:
        """Add tokens one by one up to the answer's end; return true if they contain it.

        `ends` are the tokens that end a turn. Texts without a marker are decoded once.
        """
        if len(self.tokens) + len(tokens) < self.budget and not any(t in ends for t in tokens):
            text = self.decode(self.tokens[-self._n_tail :] + tokens)
            if self.request.marker not in text:
                self.tokens += tokens
                return False
        return any(self.add(token, token in ends) for token in tokens)

    def restart(self) -> None:
        """Discard the text."""
        self.tokens, self.finish, self._text = [], None, None

    def whole(self) -> str:
        """Return all of the text, with its think tags."""
        opening = _OPENING if self.begins_in_thought else ""
        return opening + self.decode(self.tokens) if self._text is None else self._text

    def wants_closing(self) -> bool:
        """Return true if the answer has to be closed with the marker."""
        pattern = marker_pattern(self.request.marker, self.request.choices)
        return self.request.force_answer and not pattern.search(strip_thinking(self.whole()))

    def close(self, closing: str) -> None:
        """End with text that is not the model's; see `closings`."""
        self._text = self.whole() + closing
        self.finish = "forced"

    def closings(self) -> list[str]:
        """Return, by choice, the text that closes an answer which states none."""
        whole = self.whole()
        in_thought = strip_thinking(whole + "<end>") == strip_thinking(whole)
        before = f"\n{_CLOSING}\n" if in_thought else "" if self.request.reads_choice else "\n"
        return [f"{before}{self.request.marker} {choice}" for choice in self.request.choices]

    def parts(self) -> tuple[str, str]:
        """Return (answer, thinking), separated by think tags."""
        whole = self.whole()
        thinking = "".join(_THOUGHT.findall(whole)).strip()
        answer = strip_thinking(whole)
        # Templates separate the two by empty lines; an answer without thinking is unchanged.
        return (answer.lstrip("\n") if answer != whole else answer), thinking
