"""Groups of commands, one file each; `cli` puts them together and reads the environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from escalometer.config import Workspace

#: Reads paths on this machine from the environment; `cli` passes it to every command.
Place = Callable[[], "Workspace"]
