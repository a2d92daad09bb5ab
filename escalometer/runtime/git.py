"""The git repository: the commit that is checked out, and tracked files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def git_commit(root: Path) -> str:
    """Return the commit that is checked out, or ``unknown`` outside of git.

    ``-dirty`` follows where tracked files differ from it, dvc.lock aside: the pipeline writes that
    while it runs.
    """
    git = ["git", "-C", str(root)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
    if head.returncode:
        return "unknown"
    command = [*git, "diff", "--quiet", "HEAD", "--", ".", ":(exclude)dvc.lock"]
    is_clean = subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    return head.stdout.strip() + ("" if is_clean else "-dirty")


def is_tracked(path: Path) -> bool:
    """Return true if git tracks this file, or a file in this folder; false outside of git."""
    if not path.exists():
        return False
    folder = path if path.is_dir() else path.parent
    command = ["git", "-C", str(folder), "ls-files", "--", str(path.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.returncode == 0 and bool(done.stdout.strip())


def start_repository(folder: Path) -> list[str]:
    """Create a git repository in a folder that is in none; return what a person should know.

    Returns
    -------
    list of str
        One note where git is not installed; empty otherwise.
    """
    if shutil.which("git") is None:
        return ["git is not installed: DVC works without it, but results have no commit"]
    if not repository(folder):
        subprocess.run(["git", "-C", str(folder), "init", "--quiet"], check=True)  # noqa: S603, S607
    return []


def repository(folder: Path) -> Path | None:
    """Return the root of the git repository that a folder is in; None outside of git."""
    if shutil.which("git") is None:
        return None
    command = ["git", "-C", str(folder), "rev-parse", "--show-toplevel"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return Path(done.stdout.removesuffix("\n")) if done.returncode == 0 else None
