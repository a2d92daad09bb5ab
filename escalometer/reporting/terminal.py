"""What is printed for people: rich renderables on a terminal of any width and encoding."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TextIO

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


def indented(text: Text) -> Padding:
    """Return a text four columns in."""
    return Padding(text, (0, 0, 0, 4))


def plain_table(columns: Iterable[tuple[str, str]]) -> Table:
    """Return a table without lines; columns by title and how they are justified."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for title, justify in columns:
        is_name = justify == "left"
        table.add_column(
            title,
            justify="left" if is_name else "right",
            overflow="fold",
            no_wrap=not is_name,
        )
    return table
