"""The command `escalometer`, and `python -m escalometer`.

A stage, or a shard, goes to the warm process of its run, where there is one, before anything else
is imported.
"""

import sys

from escalometer.runtime.ending import end_at_once, leave_with
from escalometer.runtime.warm_client import delegate


def main() -> None:
    """Run the command line."""
    end_at_once()
    leave_with(_run)


def _run() -> int | None:
    arguments = sys.argv[1:]
    code = delegate(arguments) if arguments[:1] in (["stage"], ["ask-shard"]) else None
    if code is not None:
        return code
    from escalometer.cli import main as run

    run()
    return None


if __name__ == "__main__":
    main()
