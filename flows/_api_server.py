"""Prefect's server with its pages and services, for `escalometer serve`: a process of its own.

`python -m flows._api_server PORT` serves until it is told to end, or its parent has ended.
"""

from __future__ import annotations

import contextlib
import sys
import time

from escalometer.runtime.interruption import end_with_parent
from flows._server import HOME, Role, database_settings

_LEASES = "prefect.server.concurrency.lease_storage.filesystem"


def main(port: int) -> None:
    """Serve at a port of this machine, in place of a run that serves now."""
    end_with_parent()
    import uvicorn
    from prefect import settings
    from prefect.server.api.server import create_app

    home = HOME.resolve()
    updates = database_settings(home) | {
        settings.PREFECT_API_BLOCKS_REGISTER_ON_START: True,
        # In memory, the places of runs under way would be lost with this process, and the runs end.
        settings.PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE: _LEASES,
        settings.PREFECT_HOME: home,
    }
    with settings.temporary_settings(updates=updates):
        role = Role(home)
        is_free = role.take()
        if not is_free:  # a run has it, and goes on with the server at its port
            role.want()
            try:
                while not role.take():
                    time.sleep(0.1)
            finally:
                role.want_no_more()
        bound = role.bind(*([port] if is_free else []))
        own = f"http://127.0.0.1:{bound.getsockname()[1]}/api"
        with settings.temporary_settings(
            updates={settings.PREFECT_API_URL: own, settings.PREFECT_UI_API_URL: own}
        ):
            app = create_app(ignore_cache=True)
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)
            with contextlib.suppress(KeyboardInterrupt):
                uvicorn.Server(config).run([bound])


if __name__ == "__main__":
    main(int(sys.argv[1]))
