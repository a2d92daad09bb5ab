"""The domains that a project has: those that ship with it, and those that its users describe."""

from __future__ import annotations

from pathlib import Path

from escalometer.cases.domains import Domain, load_shipped, shipped
from escalometer.cases.own_domain import build
from escalometer.errors import UsageError, unknown_name
from escalometer.layout import DOMAINS_FOLDER, own_domain_file


def names(root: Path = Path()) -> list[str]:
    """Return the domains that exist: shipped ones and the user's, alphabetically."""
    user_domains = {path.stem for path in (root / DOMAINS_FOLDER).glob("*.yaml")}
    return sorted({*shipped(), *user_domains})


def load(name: str, root: Path = Path()) -> Domain:
    """Return the domain `name`.

    Parameters
    ----------
    name : str
        The stem of a file in `escalometer.cases.domains` or in the project's folder `domains`.
    root : Path, default the working folder
        The project.

    Raises
    ------
    UsageError
        If there is no such domain, or its YAML file is not as it must be.
    """
    yaml_file = own_domain_file(name, root)
    if name in shipped():
        if yaml_file.exists():
            raise UsageError(
                f"{yaml_file}: {name} is the name of a domain that ships with the project; "
                "rename the file"
            )
        return load_shipped(name)
    if name not in names(root):
        raise unknown_name("domain", name, names(root))
    return build.load(yaml_file)


def is_main(name: str) -> bool:
    """Return whether numbers that pool domains contain this one; a user's domains are all main.

    A user's table is not read for it: that takes seconds.
    """
    return name not in shipped() or load_shipped(name).is_main
