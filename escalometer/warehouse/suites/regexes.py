r"""Regular expressions of Python as expressions of RE2, which DuckDB evaluates.

The two differ in `$`, in what `\d`, `\s`, `\w` and `\b` mean beyond ASCII, in look-around and in
cases of letters. A translation is exact, or it errs to a known side: the *narrow* one matches
nothing that the original does not match, the *wide* one everything that it matches.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

#: Python's own parser, so that nothing is understood otherwise than `re` does.
_parser: Any = importlib.import_module("re._parser")

Ranges = list[tuple[int, int]]

_LAST = 0x10FFFF
_ASCII_END = 0x7F
_DIGITS: Ranges = [(0x30, 0x39)]
_WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_BEYOND_ASCII: Ranges = [(0x80, _LAST)]
#: `str.isspace`, which `\s` follows.
_SPACE: Ranges = [
    *((0x09, 0x0D), (0x1C, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
]
#: Letters beyond ASCII that equal an ASCII letter if cases are ignored.
_OTHER_CASES = {"i": (0x130, 0x131), "s": (0x17F,), "k": (0x212A,)}

#: RE2 repeats nothing more often.
_MOST_REPEATS = 1000


class UntranslatableError(ValueError):
    """The expression uses what RE2 lacks or understands otherwise."""


class Translation(NamedTuple):
    """An expression of RE2, whether it holds for ASCII texts alone, and whether it is exact."""

    pattern: str
    is_ascii_only: bool
    is_exact: bool


def translate(pattern: str, is_wide: bool) -> Translation:
    r"""Return the expression of RE2 that finds what `re.search` finds.

    Parameters
    ----------
    pattern : str
        As Python takes it.
    is_wide : bool
        Whether the translation may match more than the original, and nothing less; else it may
        match less, and nothing more.

    Raises
    ------
    UntranslatableError
        If the expression is not valid, or there is no such translation.
    """
    try:
        parsed = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UntranslatableError(str(error)) from error
    if "(?#" in pattern:  # pandas gives it to RE2, which refuses it
        raise UntranslatableError("a comment")
    flags = parsed.state.flags & ~re.UNICODE
    if flags & ~re.IGNORECASE:
        raise UntranslatableError("flags")
    writer = _Writer(is_wide, ignores_case=bool(flags))
    written = writer.sequence(parsed, is_tail=True)
    return Translation(written, writer.is_ascii_only, writer.is_exact)


class _Writer:
    """Writes a parsed expression as RE2."""

    def __init__(self, is_wide: bool, ignores_case: bool) -> None:
        self._is_wide = is_wide
        self._ignores_case = ignores_case
        self.is_ascii_only = False
        self.is_exact = not ignores_case

    def sequence(self, nodes: Iterable[tuple[Any, Any]], is_tail: bool) -> str:
        """Return the nodes one after the other; nothing follows a tail."""
        listed = list(nodes)
        last = len(listed) - 1
        return "".join(
            self._node(str(kind), argument, is_tail and place == last)
            for place, (kind, argument) in enumerate(listed)
        )

    def _node(self, kind: str, argument: Any, is_tail: bool) -> str:
        if kind in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            return _written(self._class(kind, argument))
        if kind == "SUBPATTERN":
            _, added, removed, nodes = argument
            if added or removed:
                raise UntranslatableError("flags of a group")
            return f"(?:{self.sequence(nodes, is_tail)})"
        if kind == "BRANCH":
            branches = (self.sequence(nodes, is_tail) for nodes in argument[1])
            return f"(?:{'|'.join(branches)})"
        if kind in ("MAX_REPEAT", "MIN_REPEAT"):
            return self._repeated(*argument)
        if kind == "AT":
            return self._position(str(argument), is_tail)
        raise UntranslatableError(kind)

    def _repeated(self, least: int, most: int, nodes: Any) -> str:
        has_end = most != _parser.MAXREPEAT
        if least > _MOST_REPEATS or (has_end and most > _MOST_REPEATS):
            raise UntranslatableError("repeats")
        inner = self.sequence(nodes, is_tail=False)
        return f"(?:{inner}){{{int(least)},{int(most) if has_end else ''}}}"

    def _position(self, name: str, is_tail: bool) -> str:
        if name in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            return r"\A"
        if name == "AT_END_STRING":
            return r"\z"
        if name == "AT_END" and is_tail:  # before a line feed that ends the text, too
            return r"\n?\z"
        if name == "AT_BOUNDARY" and not self._is_wide:
            self.is_ascii_only, self.is_exact = True, False
            return r"\b"
        raise UntranslatableError(name)

    def _class(self, kind: str, argument: Any) -> Ranges:
        if kind == "ANY":
            return _complement([(0x0A, 0x0A)])
        if kind != "IN":
            is_negated = kind == "NOT_LITERAL"
            return self._members([("LITERAL", argument)], is_negated)
        is_negated = str(argument[0][0]) == "NEGATE"
        items = [(str(name), value) for name, value in argument[is_negated:]]
        return self._members(items, is_negated)

    def _members(self, items: Sequence[tuple[str, Any]], is_negated: bool) -> Ranges:
        if is_negated and self._ignores_case:
            raise UntranslatableError("cases in a negated class")
        is_wide = self._is_wide != is_negated  # what a negated class lacks, it matches
        found: Ranges = []
        for name, value in items:
            if name == "LITERAL":
                found += self._cases(value) if self._ignores_case else [(value, value)]
            elif name == "RANGE":
                found += self._range(*value)
            elif name == "CATEGORY":
                found += _category(str(value), is_wide)
                self.is_exact &= str(value).endswith("SPACE")
            else:
                raise UntranslatableError(name)
        return _complement(found) if is_negated else _merged(found)

    def _range(self, low: int, high: int) -> Ranges:
        if self._ignores_case and (
            high > _ASCII_END or any(chr(code).isalpha() for code in range(low, high + 1))
        ):
            raise UntranslatableError("cases in a range")
        return [(low, high)]

    def _cases(self, code: int) -> Ranges:
        if code > _ASCII_END:
            raise UntranslatableError("cases beyond ASCII")
        letter = chr(code).lower()
        codes = {ord(letter), ord(letter.upper())}
        if self._is_wide:
            codes.update(_OTHER_CASES.get(letter, ()))
        return [(one, one) for one in codes]


def _category(name: str, is_wide: bool) -> Ranges:
    kind = name.removeprefix("CATEGORY_")
    if kind.startswith("NOT_"):
        return _complement(_category(kind.removeprefix("NOT_"), not is_wide))
    if kind == "SPACE":
        return _SPACE
    if kind not in ("DIGIT", "WORD"):
        raise UntranslatableError(name)
    # Which characters beyond ASCII are digits and letters differs by the version of Unicode.
    return (_DIGITS if kind == "DIGIT" else _WORD) + (_BEYOND_ASCII if is_wide else [])


def _merged(ranges: Ranges) -> Ranges:
    merged: Ranges = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _complement(ranges: Ranges) -> Ranges:
    found: Ranges = []
    start = 0
    for low, high in _merged(ranges):
        if low > start:
            found.append((start, low - 1))
        start = high + 1
    return found if start > _LAST else [*found, (start, _LAST)]


def _written(ranges: Ranges) -> str:
    if not ranges:
        raise UntranslatableError("a class without members")
    if any(0xD800 <= end <= 0xDFFF for pair in ranges for end in pair):
        raise UntranslatableError("half of a surrogate pair")
    if ranges[0][0] == ranges[-1][1]:
        return f"\\x{{{ranges[0][0]:x}}}"
    return "[" + "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in ranges) + "]"
