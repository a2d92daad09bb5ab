"""The only door to DVC: the order of stages, bringing one up to date, tracking downloads."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from escalometer.errors import DataError, EscalometerError, ProviderError, UsageError


class StageFailed(EscalometerError):
    """A failed stage; its command has printed the reason. Carries its exit code on."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


#: Stages that make and judge adapters: `dvc repro` and flows/finetune.py run them, evaluations not.
FINE_TUNING = ("targets", "validate_targets", "train", "seal", "probe")


def stage_addresses(root: Path = Path(), of: Collection[str] | None = None) -> list[str]:
    """Return the addresses of dvc.yaml's stages (``"ingest@movielens"``), each after its inputs.

    Parameters
    ----------
    root : Path
        The project.
    of : collection of str, optional
        Only these stages, and those that they need.

    Raises
    ------
    UsageError
        If dvc.yaml or params.yaml cannot be read, or has no stage of `of`.
    """
    import networkx
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            graph = repo.index.graph  # edges point from a stage to the stages that it needs
            names = {stage: str(stage.addressing) for stage in graph}
            position = {name: i for i, name in enumerate(names.values())}
            if of is not None:
                wanted = {stage for stage, name in names.items() if name.rpartition(":")[2] in of}
                if len(wanted) < len(set(of)):
                    raise UsageError(f"dvc.yaml has not all of the stages {', '.join(of)}")
                needed = {
                    dependency for s in wanted for dependency in networkx.descendants(graph, s)
                }
                graph = graph.subgraph(wanted | needed)
            order = networkx.lexicographical_topological_sort(
                graph.reverse(), key=lambda stage: position[names[stage]]
            )
            # Tracked downloads are in the graph too, and have nothing to run.
            return [names[stage] for stage in order if stage.cmd]
    except DvcException as error:
        raise UsageError(f"DVC cannot read the pipeline: {error}") from error


def bring_up_to_date(address: str, root: Path = Path(), is_forced: bool = False) -> bool:
    """Run the stage unless its output is current already, and return whether it ran.

    Parameters
    ----------
    address : str
        One of `stage_addresses`; its inputs must be current.
    root : Path
        The project.
    is_forced : bool
        Whether to run it even if its output is current.

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
            return bool(repo.reproduce(address, single_item=True, force=is_forced))
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


def track_download(url: str, path: Path, root: Path = Path()) -> Path:
    """Record a downloaded file as ``dvc import-url`` would, and return the ``.dvc`` file.

    DVC asks the server for the file's ETag (or what else tells its versions apart) and size, and
    puts the file that is there into its cache; the bytes are not downloaded again. The ``.dvc``
    file goes into git; ``dvc status``, ``push``, ``pull`` and ``update`` know the file by it.

    Parameters
    ----------
    url : str
        Where the file is from: http or https, without a user's name or a key.
    path : Path
        The file, whole and verified, in the project.
    root : Path
        The project.

    Returns
    -------
    Path
        `path` with ``.dvc`` appended.

    Raises
    ------
    UsageError
        If `root` is no DVC project in git, `path` is not in it, or the address holds a secret,
        which would end up in git.
    DataError
        If there is no such file, the server has one of another size by now, or DVC cannot take it.
    ProviderError
        If the server does not answer, or another DVC command is running.
    """
    import logging

    from dvc.dependency.base import DependencyDoesNotExistError
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    from escalometer.cases.downloads.published import holds_secret, spell_url

    if not (root / ".dvc").is_dir():
        raise UsageError(
            f"{root.resolve()} is no DVC project, so {path} cannot be recorded: run `git init` (if "
            "it is not in git) and `dvc init` there, or go to the project's root"
        )
    if not path.resolve().is_relative_to(root.resolve()):
        raise UsageError(
            f"{path} is outside of the project ({root.resolve()}): DVC cannot track it"
        )
    if holds_secret(url):
        raise UsageError(f"{spell_url(url)} holds a name or a key, which would end up in git")
    if not path.is_file():
        raise DataError(f"{path} does not exist: download it first")
    logging.getLogger("dvc").setLevel(logging.WARNING)
    record = path.with_name(path.name + ".dvc")
    before = record.read_bytes() if record.exists() else None
    is_recorded = False
    try:
        with Repo(str(root)) as repo:
            # As `dvc import-url --no-exec --force` and `dvc commit --force` on the command line:
            # the one writes down where the file is from, the other takes the file as it is.
            repo.imp_url(url, out=str(path), no_exec=True, force=True)
            (stage,) = repo.commit(str(record), force=True)
            served, tracked = stage.deps[0].meta.size, stage.outs[0].meta.size
        if served is not None and served != tracked:
            raise DataError(
                f"{spell_url(url)} has {served:,} bytes by now, {path} has {tracked:,}: the "
                "published file has changed. Remove yours and download it again."
            )
        is_recorded = True
    except LockError as error:
        raise ProviderError(f"another DVC command is running here: {error}") from error
    except (DependencyDoesNotExistError, FileNotFoundError, TimeoutError) as error:
        raise ProviderError(
            f"{path} is there, but could not be recorded in DVC: {spell_url(url)} does not answer. "
            "Run this again; the file will not be downloaded again."
        ) from error
    except SCMError as error:
        raise UsageError(f"{root.resolve()} is not in git: run `git init` there") from error
    except DvcException as error:
        raise DataError(f"DVC cannot record {path}: {error}") from error
    finally:
        if not is_recorded:  # or a record without digests would claim that nothing is there
            if before is None:
                record.unlink(missing_ok=True)
            else:
                record.write_bytes(before)
    return record
