"""A policy's file, ready to decide and as the typed document."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from escalometer.documents import PolicyDocument
from escalometer.errors import DataError, UsageError
from escalometer.policy import Policy, PolicyError, load


def read(path: Path) -> tuple[Policy, PolicyDocument]:
    """Return the policy in a file, ready to decide, and as the typed document.

    Raises
    ------
    UsageError
        If the file cannot be read.
    DataError
        If it is no policy, or was changed after its export.
    """
    try:
        policy = load(path)
        document = PolicyDocument.model_validate_json(json.dumps(policy.content))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} is no policy of this version: {place}: {first['msg']}; export it again"
        ) from error
    except PolicyError as error:
        raise DataError(str(error)) from error
    return policy, document
