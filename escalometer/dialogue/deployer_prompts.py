"""The deployer's system prompt: its file, and the record of which one was used."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from escalometer import layout
from escalometer.config import Params
from escalometer.errors import UsageError

#: The intervention that has one.
NAME = "deployer_prompt"


class DeployerPrompt(NamedTuple):
    """A system prompt and the file that it is from."""

    file: str
    text: str

    @property
    def digest(self) -> str:
        """sha256 of the text in UTF-8, with ``sha256:`` before it."""
        return f"sha256:{hashlib.sha256(self.text.encode()).hexdigest()}"


def deployer_prompt(params: Params, root: Path = Path()) -> DeployerPrompt:
    """Return the system prompt that `query.deployer_prompt` names, without blanks at its ends.

    Raises
    ------
    UsageError
        If none is named, it is outside of the folder that the pipeline depends on, or the file is
        absent, empty or not UTF-8.
    """
    name = params.query.deployer_prompt
    folder = layout.PROMPTS_FOLDER.as_posix()
    if name is None:
        raise UsageError(
            f"the intervention {NAME} needs a system prompt: put it into a file in {folder}/ and "
            f"set query.{NAME} in params.yaml to its path"
        )
    path = root / name
    if not path.resolve().is_relative_to((root / layout.PROMPTS_FOLDER).resolve()):
        raise UsageError(
            f"query.{NAME} must be a file in {folder}/, so that dialogues are repeated when it "
            f"changes; found {name}"
        )
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(
            f"query.{NAME}: {name} cannot be read: {error.strerror or error}"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"query.{NAME}: {name} is not UTF-8: {error}") from error
    if not text:
        raise UsageError(f"query.{NAME}: {name} is empty")
    return DeployerPrompt(name, text)
