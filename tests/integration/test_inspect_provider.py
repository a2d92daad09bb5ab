"""Models through inspect_ai: skipped where the extra is not installed."""

from __future__ import annotations

import asyncio
import importlib.util

import pytest

from escalometer.errors import ProviderError
from escalometer.providers import RemoteProvider, connect
from tests.integration._server import running
from tests.integration.test_openai_provider import KEY, ask, card, place, request

HAS_INSPECT = importlib.util.find_spec("inspect_ai") is not None
needs_inspect = pytest.mark.skipif(
    not HAS_INSPECT, reason="inspect_ai is not installed: pip install 'escalometer[inspect]'"
)
OWN = ""


def inspected(model: str, url: str = OWN, secrets=None, **endpoint):
    made = card(url, **({"model": model} | endpoint))
    return connect(made.model_copy(update={"provider": "inspect"}), place(**(secrets or {})))


@pytest.mark.skipif(HAS_INSPECT, reason="inspect_ai is installed")
def test_without_the_extra_the_error_says_what_to_install():
    provider = inspected("mockllm/model")
    with pytest.raises(ProviderError, match=r"pip install 'escalometer\[inspect\]'"):
        asyncio.run(provider.session().__aenter__())


@needs_inspect
def test_the_mock_model_answers():
    provider = inspected("mockllm/model")
    assert isinstance(provider, RemoteProvider)
    found = ask(provider, [request(i) for i in range(3)])
    if "tiktoken" in (found[0].error or ""):
        pytest.skip("inspect_ai's mock model counts with a vocabulary that tiktoken downloads")
    assert {one.finish for one in found} == {"stop"}
    assert all(one.text == "Default output from mockllm/model" for one in found)
    assert all(one.n_prompt_tokens > 0 and one.n_completion_tokens > 0 for one in found)
    assert provider.parameters(request()) == {"max_tokens": 64, "temperature": 0.0}


@needs_inspect
def test_a_provider_that_does_not_exist_is_an_error_to_mend():
    with pytest.raises(ProviderError, match="inspect_ai cannot make this model"):
        ask(inspected("nobody/nothing"), [request()])


@needs_inspect
def test_a_server_behind_it_answers_fails_and_hides_the_key():
    pytest.importorskip("openai", reason="inspect_ai's openai provider needs the openai package")
    secrets = {"FAKE_KEY": KEY}
    with running(key=KEY, faults=[{"kind": "status", "status": 500}]) as server:
        provider = inspected("openai-api/fake/fake-1", server.url, secrets, key_env="FAKE_KEY")
        (found,) = ask(provider, [request()])
        assert found.finish == "stop"
        assert found.n_prompt_tokens > 0
        assert server.n_asked == 2
        server.faults.clear()
        server.key = "another"
        with pytest.raises(ProviderError, match="key") as caught:
            ask(provider, [request(7)])
        assert KEY not in str(caught.value)
