"""Prefect's history of a run with more task runs than its API returns at once."""

from __future__ import annotations

import pytest

N_TASKS = 210

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_a_history_of_several_pages_settles(prefect_url: str) -> None:
    import prefect
    from prefect.cache_policies import NO_CACHE
    from prefect.context import get_run_context

    from flows._server import wait_for_history

    @prefect.task(cache_policy=NO_CACHE)
    def stage(number: int) -> int:
        return number

    @prefect.flow
    def long_run() -> int:
        for number in range(N_TASKS):
            stage(number)
        return wait_for_history(get_run_context().flow_run.id, N_TASKS)

    assert long_run() == N_TASKS
