"""Models through inspect_ai: skipped where the extra is not installed."""

from __future__ import annotations

import asyncio
import importlib.util

import pytest

from escalometer.dialogue.providers import RemoteProvider, connect
from escalometer.errors import ProviderError
from tests.integration._asking import KEY, ask, card, place, request
from tests.integration._server import running

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
def test_a_model_answers_and_a_cut_off_or_refused_answer_is_told():
    from inspect_ai.model import ModelAPI, ModelOutput, ModelUsage, modelapi

    @modelapi(name="echo")
    def echo():
        # inspect_ai's own mock model counts with a vocabulary that it downloads.
        class Echo(ModelAPI):
            async def generate(self, input, tools, tool_choice, config):  # noqa: A002
                said = f"{input[-1].text[:5]}, {config.max_tokens} tokens. PREDICTION: 1"
                reason = {"0": "stop", "1": "max_tokens", "2": "content_filter"}[self.model_name]
                output = ModelOutput.from_content(self.model_name, said, stop_reason=reason)
                output.usage = ModelUsage(input_tokens=7, output_tokens=3, total_tokens=10)
                return output

        return Echo

    for model, finish in (("0", "stop"), ("1", "length"), ("2", "refused")):
        provider = inspected(f"echo/{model}")
        assert isinstance(provider, RemoteProvider)
        assert provider.identity == {
            "provider": "inspect",
            "base_url": "",
            "model": f"echo/{model}",
        }
        found = ask(provider, [request(i) for i in range(3)])
        assert {one.finish for one in found} == {finish}
        assert all(one.n_prompt_tokens == 7 for one in found)
        assert all(one.n_completion_tokens == 3 for one in found)
        if finish == "stop":
            assert all(one.text.endswith("64 tokens. PREDICTION: 1") for one in found)
    assert provider.parameters(request()) == {"max_tokens": 64, "temperature": 0.0}


@needs_inspect
def test_a_provider_that_does_not_exist_is_an_error_to_mend():
    with pytest.raises(ProviderError, match="inspect_ai cannot load this model"):
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
