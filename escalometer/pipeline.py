"""The only door to DVC: which stages there are, in which order, and bringing one up to date."""

from __future__ import annotations

import re
from pathlib import Path

from escalometer.errors import DataError, EscalometerError, ProviderError, UsageError


class StageFailed(EscalometerError):
    """A stage's command failed; it has said why itself. Carries its exit code on."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def stage_addresses(root: Path = Path()) -> list[str]:
    """Return the addresses of dvc.yaml's stages (``"ingest@movielens"``), each after its inputs.

    Raises
    ------
    UsageError
        If dvc.yaml or params.yaml cannot be read.
    """
    import networkx
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            graph = repo.index.graph  # edges point from a stage to the stages that it needs
            names = {stage: str(stage.addressing) for stage in graph}
            position = {name: i for i, name in enumerate(names.values())}
            order = networkx.lexicographical_topological_sort(
                graph.reverse(), key=lambda stage: position[names[stage]]
            )
            return [names[stage] for stage in order]
    except DvcException as error:
        raise UsageError(f"DVC cannot read the pipeline: {error}") from error


def bring_up_to_date(address: str, root: Path = Path()) -> bool:
    """Run the stage unless its output is current already, and return whether it ran.

    Parameters
    ----------
    address : str
        One of `stage_addresses`; its inputs must be current.
    root : Path
        The project.

    Raises
    ------
    StageFailed
        If the stage's command failed, with the command's exit code.
    ProviderError
        If the stage is locked by another process.
    DataError
        If DVC cannot read an input.
    """
    import logging

    from dvc.exceptions import DvcException, ReproductionError
    from dvc.lock import LockError
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.WARNING)  # the flow says what runs
    try:
        with Repo(str(root)) as repo:
            return bool(repo.reproduce(address, single_item=True))
    except ReproductionError as error:
        cause = error.__cause__
        code = re.search(r"exited with (-?\d+)$", str(cause))
        if code:
            status = int(code[1])
            # A shell reports a child that died of a signal as 128 + its number, as we do.
            raise StageFailed(
                f"stage {address} stopped", 128 - status if status < 0 else status
            ) from error
        if isinstance(cause, LockError):
            raise ProviderError(f"stage {address} is being run by another process") from error
        raise DataError(f"stage {address}: {cause or error}") from error
    except LockError as error:
        raise ProviderError(f"another DVC command is running here: {error}") from error
    except DvcException as error:
        raise DataError(f"stage {address}: {error}") from error
