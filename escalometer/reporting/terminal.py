"""Text, headings and the plain table for a terminal of any width and encoding."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

MIN_WIDTH, MAX_WIDTH = 80, 100


def render(parts: Iterable[RenderableType], width: int = 100, has_colour: bool = False) -> str:
    """Return the parts as text of 80 to 100 columns, with colour or without."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=min(max(width, MIN_WIDTH), MAX_WIDTH),
        force_terminal=has_colour,
        color_system="auto" if has_colour else None,
        highlight=False,
        markup=False,  # names come from users' files; a bracket in one is no style
        emoji=False,
        legacy_windows=False,
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def write(parts: Iterable[RenderableType], stream: TextIO) -> None:
    """Write the parts to `stream`, in colour where that is a terminal.

    Characters that the stream's encoding lacks are written as question marks.
    """
    has_colour = stream.isatty()
    width = Console(file=stream).width if has_colour else MAX_WIDTH
    text = render(parts, width, has_colour)
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def heading(text: str) -> Text:
    """Return a heading."""
    return Text(text, style="bold underline")


def indented(text: Text, by: int = 4) -> Padding:
    """Return a text so many columns in."""
    return Padding(text, (0, 0, 0, by))


class Column(NamedTuple):
    """A column of `plain_table`.

    Attributes
    ----------
    title : str
    justify : {"left", "right"}
        Left for words, right for numbers.
    can_wrap : bool, optional
        True if cells may take several lines where the terminal is narrow; by default words may
        and numbers may not.
    min_width : int, optional
        Characters.
    """

    title: str
    justify: Literal["left", "right"] = "right"
    can_wrap: bool | None = None
    min_width: int | None = None


def plain_table(columns: Sequence[Column | str], gap: int = 1) -> Table:
    """Return a table without lines.

    Parameters
    ----------
    columns : sequence of Column or str
        A bare title is a column of numbers.
    gap : int
        Characters between columns.
    """
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
    for given in columns:
        column = Column(given) if isinstance(given, str) else given
        can_wrap = column.justify == "left" if column.can_wrap is None else column.can_wrap
        table.add_column(
            column.title,
            justify=column.justify,
            overflow="fold",
            no_wrap=not can_wrap,
            min_width=column.min_width,
        )
    return table
