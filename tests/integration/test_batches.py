"""The batch API against a real server: all its endings, and no batch made twice."""

from __future__ import annotations

import asyncio
import json

import pytest

from escalometer.dialogue.providers import Completion
from escalometer.dialogue.providers.openai.batches import Batches, Progress
from escalometer.dialogue.providers.openai.provider import OpenAIProvider
from escalometer.errors import ProviderError
from tests.integration import _server_answers as answers
from tests.integration._asking import HASTY, KEY, card, place, request
from tests.integration._server import Server, running

REQUESTS = {f"key-{i}": request(i) for i in range(10)}


def provider_of(server: Server) -> OpenAIProvider:
    made = card(server.url, has_batches=True, key_env="FAKE_KEY")
    return OpenAIProvider(made, place(FAKE_KEY=KEY), HASTY)


def held(server: Server, requests=REQUESTS) -> tuple[list[Progress], dict[str, Completion]]:
    """Submit in one session, poll and collect in another one, of another provider."""

    async def submit() -> str:
        provider = provider_of(server)
        async with provider.session():
            ((ids, content),) = provider.batches.split(requests)
            return await provider.batches.submit(content, Batches.labelled(ids))

    async def collect(batch: str):
        provider = provider_of(server)
        async with provider.session():
            seen = [await provider.batches.poll(batch)]
            while seen[-1].state == "running":
                await asyncio.sleep(0.05)
                seen.append(await provider.batches.poll(batch))
            found = [pair async for pair in provider.batches.collect(batch, requests)]
            assert len(dict(found)) == len(found)
            return seen, dict(found)

    return asyncio.run(collect(asyncio.run(submit())))


def test_a_batch_survives_the_process_and_has_the_answers_of_single_requests():
    with running(key=KEY, batch_seconds=0.2) as server:
        seen, found = held(server)
        assert (seen[0].state, seen[0].n_total) == ("running", 10)
        assert (seen[-1].state, seen[-1].n_completed, seen[-1].n_failed) == ("done", 10, 0)
        assert set(found) == set(REQUESTS)
        for name, asked in REQUESTS.items():
            body = {"messages": [{"role": "user", "content": asked.messages[0][1]}]}
            expected = answers.answer(body)
            assert found[name].text == expected["choices"][0]["message"]["content"]
            assert found[name].n_prompt_tokens == expected["usage"]["prompt_tokens"]
            assert found[name].resolved_model == answers.RESOLVED
        lines = server.batches.files["file-0"].splitlines()
        assert json.loads(lines[3]) == {
            "custom_id": "key-3",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "fake-1",
                "messages": [{"role": "user", "content": REQUESTS["key-3"].messages[0][1]}],
                "max_tokens": 64,
                "temperature": 0.0,
            },
        }


def test_lines_that_failed_are_outcomes_of_their_own():
    faults = [
        {"kind": "batch_line", "match": "Case 2", "status": 400, "body": answers.PROMPT_FILTERED},
        {"kind": "batch_line", "match": "Case 4", "status": 400, "body": answers.TOO_LONG},
        {"kind": "batch_line", "match": "Case 6", "status": 500},
    ]
    with running(key=KEY, faults=faults) as server:
        seen, found = held(server)
        assert (seen[-1].n_completed, seen[-1].n_failed) == (7, 3)
        endings = {name: (one.finish, one.is_passing) for name, one in found.items()}
        assert endings.pop("key-2") == ("refused", False)
        assert endings.pop("key-4") == ("error", False)
        assert endings.pop("key-6") == ("error", True)
        assert set(endings.values()) == {("stop", False)}


@pytest.mark.parametrize("ending", ["batch_expired", "batch_cancelled"])
def test_what_a_batch_did_not_come_to_is_asked_again_and_the_rest_kept(ending):
    with running(key=KEY, faults=[{"kind": ending}]) as server:
        seen, found = held(server)
        assert (seen[-1].state, seen[-1].status) == ("done", ending.removeprefix("batch_"))
        assert [found[f"key-{i}"].finish for i in range(10)] == ["stop"] * 5 + ["error"] * 5
        assert all(found[f"key-{i}"].is_passing for i in range(5, 10))
        assert ending in found["key-9"].error


def test_a_batch_that_failed_says_why():
    failed = pytest.raises(ProviderError, match="no results: failed: Line 1 is not JSON")
    with running(key=KEY, faults=[{"kind": "batch_failed"}]) as server, failed:
        held(server)


def test_results_that_are_missing_are_errors_that_pass():
    with running(key=KEY) as server:

        async def main():
            provider = provider_of(server)
            async with provider.session():
                ((ids, content),) = provider.batches.split(REQUESTS)
                batch = await provider.batches.submit(content, Batches.labelled(ids))
                more = REQUESTS | {"other": request(99)}
                return dict([pair async for pair in provider.batches.collect(batch, more)])

        found = asyncio.run(main())
        assert (found["other"].finish, found["other"].is_passing) == ("error", True)


def test_a_batch_whose_creation_was_not_heard_of_is_found_and_not_made_twice():
    with running(key=KEY, faults=[{"kind": "batch_lost"}]) as server:
        _, found = held(server)
        assert {one.finish for one in found.values()} == {"stop"}
        assert len(server.batches.batches) == 1
        held(server)  # the same requests again: the batch that there is
        assert len(server.batches.batches) == 1


def test_requests_are_split_by_number_and_by_size():
    provider = OpenAIProvider(card("http://127.0.0.1:1/v1", has_batches=True), place(), HASTY)
    files = list(provider.batches.split(REQUESTS, most_requests=4))
    assert [len(ids) for ids, _ in files] == [4, 4, 2]
    assert [len(content.splitlines()) for _, content in files] == [4, 4, 2]
    line = len(files[0][1]) // 4
    by_size = list(provider.batches.split(REQUESTS, most_bytes=3 * line + 20))
    assert [len(ids) for ids, _ in by_size] == [3, 3, 3, 1]
    assert [name for ids, _ in by_size for name in ids] == list(REQUESTS)


def test_the_key_is_in_no_error_of_a_batch():
    with running(key="another") as server:
        with pytest.raises(ProviderError, match="401") as caught:
            held(server)
        assert KEY not in repr(caught.value)
