"""The system prompt that a model was asked with, in its profile."""

from __future__ import annotations

from pathlib import Path

from escalometer import layout
from escalometer.documents import Profile
from escalometer.documents.profile import DeployerPromptRecord
from escalometer.runtime.files import read_json


def with_asked_prompt(profile: Profile, root: Path = Path()) -> Profile:
    """Return a profile of the pipeline with the record of its system prompt, where there is one."""
    path = layout.asked_prompt_file(profile.model, root)
    if not path.is_file():
        return profile
    record = read_json(path)
    found = DeployerPromptRecord(file=record["file"], digest=record["digest"])
    note = (
        f"Rows of deployer_prompt are about {profile.model} with the system prompt {found.file} "
        f"({found.digest})."
    )
    return profile.model_copy(update={"deployer_prompt": found}).with_notes(note)
