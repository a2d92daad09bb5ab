"""The openai provider against a real server that fails in every way it can."""

from __future__ import annotations

import threading
import time

import pytest

from escalometer.dialogue.parsing import parse_marker
from escalometer.dialogue.providers import RemoteProvider, Request, connect
from escalometer.dialogue.providers.openai.provider import OpenAIProvider
from escalometer.dialogue.remote.patience import Patience
from escalometer.errors import EscalometerError, ProviderError, UsageError
from tests.integration import _server_answers as answers
from tests.integration._asking import HASTY, KEY, PROMPT, ask, card, place, request
from tests.integration._server import running
from tests.integration._server_http import Fault


def hasty(url: str, secrets=None, thinking=None, **endpoint) -> OpenAIProvider:
    return OpenAIProvider(card(url, thinking, **endpoint), place(**(secrets or {})), HASTY)


def test_an_answer_has_its_text_tokens_and_model():
    with running() as server:
        provider = connect(card(server.url), place())
        assert isinstance(provider, RemoteProvider)
        (found,) = ask(provider, [request()])
        expected = answers.answer(server.bodies[0])
        assert found.text == expected["choices"][0]["message"]["content"]
        assert parse_marker(found.text, "PREDICTION:") in (0, 1)
        assert (found.finish, found.error, found.is_passing) == ("stop", None, False)
        assert found.n_prompt_tokens == expected["usage"]["prompt_tokens"]
        assert found.n_completion_tokens == expected["usage"]["completion_tokens"]
        assert found.resolved_model == answers.RESOLVED
        assert 0 < found.latency_s < 10
        assert server.bodies[0] == {
            "model": "fake-1",
            "messages": [{"role": "user", "content": PROMPT.format(i=0)}],
            "max_tokens": 64,
            "temperature": 0.0,
        }
        assert provider.identity == {
            "provider": "openai",
            "base_url": server.url,
            "model": "fake-1",
        }


def test_turn_two_says_what_the_cache_had():
    with running() as server:
        turn = Request((("user", "a " * 80), ("assistant", "b"), ("user", "c")), "DECISION:", 64)
        (found,) = ask(hasty(server.url), [turn])
        assert 0 < found.n_cached_tokens < found.n_prompt_tokens


#: Faults after which the same request is asked again, and what each costs.
PASSING = {
    "late": {"kind": "late", "seconds": 0.2},
    "never": {"kind": "never"},
    "cut off": {"kind": "cut_off"},
    "cut in the head": {"kind": "cut_head"},
    "empty": {"kind": "empty"},
    "HTML with 200": {"kind": "html", "status": 200},
    "HTML with 502": {"kind": "html", "status": 502},
    "wrong JSON": {"kind": "wrong_json"},
    "JSON of another shape": {"kind": "wrong_shape"},
    "200 with an error": {"kind": "error_body"},
    "200 with a code of 502": {
        "kind": "error_body",
        "body": {"error": {"code": 502, "message": "Provider returned error"}},
    },
    "error in a choice": {
        "kind": "replace",
        "body": {"choices": [{"finish_reason": "error", "message": {"content": ""}}]},
    },
    "reset": {"kind": "reset"},
    "twice": {"kind": "twice"},
    **{
        f"twice, {seconds} s later": {"kind": "twice", "seconds": seconds, "skip": 3}
        for seconds in (0.001, 0.005, 0.02, 0.1)
    },
    **{f"{status}": {"kind": "status", "status": status} for status in (408, 409, 425, 500, 529)},
    "429": {"kind": "status", "status": 429},
    "429 with Retry-After": {"kind": "status", "status": 429, "headers": {"retry-after": "0.2"}},
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_asked_again_until_every_request_is_answered(fault):
    with running(faults=[fault | {"times": 6}]) as server:
        provider = hasty(server.url, timeout_s=0.5)
        found = ask(provider, [request(i) for i in range(40)])
        assert [one.finish for one in found] == ["stop"] * 40
        for i, one in enumerate(found):
            body = {"messages": [{"role": "user", "content": PROMPT.format(i=i)}]}
            assert one.text == answers.answer(body)["choices"][0]["message"]["content"]
        if fault["kind"] != "twice":  # where a copy takes an answer's place, it is asked for again
            assert server.n_asked == 40 + 6 * (fault["kind"] != "late")
            # None is paid for twice: what was answered well is not asked again.
            assert sum(server.answered.values()) == 40 + 6 * (fault["kind"] == "replace")


@pytest.mark.parametrize("ids", [["same"], ["a", "b", "c"]])
def test_a_server_whose_ids_say_nothing_is_believed(ids):
    faults = [
        {"kind": "replace", "body": {"id": name}, "times": -1, "match": f"Case {i}"}
        for i, name in enumerate(ids * 4)
    ]
    with running(faults=faults) as server:
        found = ask(hasty(server.url), [request(i) for i in range(len(faults))])
        assert {one.finish for one in found} == {"stop"}
        assert server.n_asked <= len(faults) + 2


def test_attempts_end_and_the_outcome_may_pass():
    with running(faults=[{"kind": "status", "status": 500, "times": -1}]) as server:
        (found,) = ask(hasty(server.url, max_attempts=3), [request()])
        assert server.n_asked == 3
        assert (found.finish, found.is_passing, found.text) == ("error", True, "")
        assert "HTTP 500" in found.error
        assert "attempt 3" in found.error


LASTING = {
    "prompt filtered": ({"kind": "prompt_filter"}, "refused", "content_filter"),
    "answer filtered": ({"kind": "filter"}, "refused", "content_filter"),
    "refusal": ({"kind": "refusal"}, "refused", "cannot help"),
    "too long": ({"kind": "too_long"}, "error", "maximum context length"),
    "400": (
        {"kind": "status", "status": 400, "body": {"error": {"message": "odd"}}},
        "error",
        "odd",
    ),
    "413": ({"kind": "html", "status": 413}, "error", "413"),
    "422": ({"kind": "status", "status": 422, "body": {"detail": "no"}}, "error", "no"),
    "flagged": (
        {
            "kind": "status",
            "status": 403,
            "body": {"error": {"code": 403, "message": "Your input was flagged"}},
        },
        "refused",
        "flagged",
    ),
    "200 with a lasting error": (
        {"kind": "error_body", "body": {"error": {"code": 400, "message": "odd"}}},
        "error",
        "odd",
    ),
    "blocked by Google": (
        {"kind": "replace", "body": {"choices": [], "promptFeedback": {"blockReason": "SAFETY"}}},
        "refused",
        "SAFETY",
    ),
}


@pytest.mark.parametrize(("fault", "finish", "why"), LASTING.values(), ids=LASTING)
def test_what_cannot_get_better_is_an_outcome_and_asked_once(fault, finish, why):
    with running(faults=[fault | {"times": -1}]) as server:
        (found,) = ask(hasty(server.url), [request()])
        assert (found.finish, found.is_passing) == (finish, False)
        assert why in found.error
        assert server.n_asked == 1


def test_a_budget_that_ran_out_is_length():
    with running(faults=[{"kind": "truncated"}]) as server:
        (found,) = ask(hasty(server.url), [request()])
        assert (found.finish, found.text) == ("length", "The signal and the")


def test_an_answer_without_content_is_empty_and_no_fault():
    with running(faults=[{"kind": "no_content", "times": -1}]) as server:
        (found,) = ask(hasty(server.url), [request()])
        assert (found.text, found.finish) == ("", "stop")
        assert server.n_asked == 1


def test_tokens_that_nobody_counts_are_estimated_and_not_free():
    with running(faults=[{"kind": "no_usage"}]) as server:
        (found,) = ask(hasty(server.url), [request()])
        assert found.n_prompt_tokens >= len(PROMPT) / 4
        assert found.n_completion_tokens >= len(found.text) / 4


FATAL = {
    "unknown model": ({"status": 404, "body": answers.UNKNOWN_MODEL}, "does not exist"),
    "wrong address": ({"status": 404, "body": {"detail": "Not Found"}}, "base_url"),
    "no quota": ({"status": 429, "body": answers.NO_QUOTA}, "quota"),
    "no credit": ({"status": 402, "body": {"error": {"message": "Pay up"}}}, "Pay up"),
    "no permission": ({"status": 403, "body": {"error": {"message": "no"}}}, "key"),
    "Google's wrong key": (
        {"status": 400, "body": [{"error": {"code": 400, "message": "API key not valid."}}]},
        "not valid",
    ),
    "a field that is not taken": (
        {"status": 400, "body": {"error": {"code": "unsupported_parameter", "message": "t"}}},
        "card",
    ),
    "an hour to wait": ({"status": 429, "headers": {"retry-after": "3600"}}, "3,600 s"),
}


@pytest.mark.parametrize(("fault", "why"), FATAL.values(), ids=FATAL)
def test_what_would_fail_every_request_ends_the_run(fault, why):
    with running(faults=[fault | {"kind": "status", "times": -1}]) as server:
        with pytest.raises(ProviderError, match=why):
            ask(hasty(server.url), [request()])
        assert server.n_asked == 1


def test_a_redirect_is_not_followed():
    with running(key=KEY) as other:
        fault = {"kind": "redirect", "body": f"{other.url}/chat/completions", "times": -1}
        redirected = pytest.raises(ProviderError, match="redirects to")
        with running(faults=[fault]) as server, redirected:
            ask(hasty(server.url, {"FAKE_KEY": KEY}, key_env="FAKE_KEY"), [request()])
        assert other.n_asked == 0


@pytest.mark.parametrize(
    ("header", "value", "least_s"),
    [
        ("retry-after", "1", 1.0),
        ("retry-after-ms", "700", 0.7),
        ("retry-after", "Thu, 01 Jan 2026 00:00:01 GMT", 1.0),
    ],
)
def test_the_wait_that_a_server_asks_for_is_kept_by_all(header, value, least_s):
    # The server's own clock counts for a date: ours says something else.
    headers = {header: value, "date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    with running(faults=[{"kind": "status", "status": 429, "headers": headers}]) as server:
        provider = hasty(server.url, max_in_flight=1)
        began = time.monotonic()
        found = ask(provider, [request(i) for i in range(4)])
        assert least_s <= time.monotonic() - began < least_s + 1
        assert [one.finish for one in found] == ["stop"] * 4


def test_a_used_up_allowance_is_waited_for():
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "80ms"}
    with running(faults=[{"kind": "error_body", "headers": headers}]) as server:
        began = time.monotonic()
        ask(hasty(server.url, max_in_flight=1), [request(i) for i in range(3)])
        assert time.monotonic() - began >= 0.08


def test_a_server_that_goes_away_for_a_while_is_waited_for():
    with running(faults=[{"kind": "down", "seconds": 1.0, "skip": 10}]) as server:
        provider = hasty(server.url, max_attempts=2)
        found = ask(provider, [request(i) for i in range(300)])
        assert {one.finish for one in found} == {"stop"}
        assert max(server.answered.values()) == 1


def test_a_server_that_stays_away_ends_the_run():
    with running() as server:
        url = server.url
    with pytest.raises(ProviderError, match=r"no connection to http://127\.0\.0\.1:.*base_url"):
        ask(hasty(url), [request(i) for i in range(20)])


@pytest.mark.parametrize("fault", ["reset", "status"])
def test_a_server_in_trouble_altogether_is_asked_little_until_it_is_back(fault):
    with running(latency=0.01) as server:
        provider = OpenAIProvider(card(server.url), place(), Patience(first_s=0.2, most_s=20))

        def recover():
            server.faults.clear()

        server.faults = [Fault(fault, times=-1, status=503, skip=200)]
        threading.Timer(3.0, recover).start()
        began = time.monotonic()
        found = ask(provider, [request(i) for i in range(600)])
        assert {one.finish for one in found} == {"stop"}
        assert max(server.answered.values()) == 1
        assert server.n_asked < 600 + 250  # without it, each of the 400 is tried several times
        assert time.monotonic() - began < 3 + 8  # and not only when the longest wait is over


def test_the_default_patience_outlasts_a_minute():
    patience = Patience()
    for _ in range(200):
        assert sum(patience.wait_s(n) for n in range(1, 8)) > 90
    assert patience.away_s > 200


def test_it_finds_what_the_server_bears():
    with running(latency=0.02, capacity=12) as server:
        found = ask(hasty(server.url, max_attempts=40), [request(i) for i in range(300)])
        assert {one.finish for one in found} == {"stop"}
        assert server.statuses[429] < 200
        assert max(server.answered.values()) == 1


def test_a_key_that_is_not_there_is_named_before_anything_is_asked():
    with running(key=KEY) as server:
        provider = connect(card(server.url, key_env="FAKE_KEY"), place(OTHER="x"))
        provider.parameters(request())  # what is in the store needs no key
        with pytest.raises(UsageError, match="FAKE_KEY is not set"):
            ask(provider, [request()])
        assert server.n_asked == 0


def errors_with_key(server) -> list[str]:
    """Return every text that a user could see of a provider whose server echoes its key."""
    provider = hasty(server.url, {"FAKE_KEY": KEY}, key_env="FAKE_KEY", max_attempts=2)
    texts = [repr(provider), str(vars(provider)), str(vars(provider._client))]
    try:
        texts += [repr(one) for one in ask(provider, [request()])]
    except EscalometerError as error:
        chain: BaseException | None = error
        while chain is not None:
            texts += [str(chain), repr(chain)]
            chain = chain.__cause__ or chain.__context__
    return texts


ECHO = {"error": {"message": "for $KEY: no", "code": "$KEY"}}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": status, "body": ECHO, "headers": {"x-key": "$KEY"}}
        for status in (400, 401, 404, 429, 500)
    ]
    + [
        {"kind": "redirect", "body": f"https://elsewhere.example/?k={KEY}"},
        {"kind": "error_body", "body": {"error": {"message": f"{KEY}: odd", "code": 400}}},
        {"kind": "replace", "body": {"model": KEY}},
        {"kind": "reset"},
        {"kind": "cut_head"},
        {"kind": "html", "status": 502},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}",
)
def test_the_key_is_in_no_text(fault, caplog):
    caplog.set_level("DEBUG")
    with running(faults=[fault | {"times": -1}]) as server:
        texts = errors_with_key(server)
    with running(key="another") as server:
        texts += errors_with_key(server)  # 401 with the key in body and header
    assert len(texts) > 6
    assert not [text for text in texts if KEY in text]
    assert KEY not in caplog.text


THINKING = {
    "on": {"reasoning_effort": "medium", "temperature": None},
    "off": {"reasoning_effort": "minimal"},
    "max_tokens": 1000,
}


def test_thinking_is_switched_and_kept_apart():
    with running() as server:
        provider = hasty(server.url, thinking=THINKING, body={"seed": 7})
        off, on = ask(provider, [request()]) + ask(provider, [request(is_thinking=True)])
        assert off.thinking == ""
        assert on.thinking.startswith("Let me see.")
        assert on.text == off.text
        assert on.n_completion_tokens == off.n_completion_tokens + 24
        assert provider.parameters(request()) == {
            "max_tokens": 64,
            "temperature": 0.0,
            "seed": 7,
            "reasoning_effort": "minimal",
        }
        assert provider.parameters(request(is_thinking=True)) == {
            "max_tokens": 1064,
            "seed": 7,
            "reasoning_effort": "medium",
        }


def test_a_model_that_cannot_think_says_so():
    with pytest.raises(UsageError, match="does not support thinking"):
        hasty("http://127.0.0.1:1/v1").parameters(request(is_thinking=True))


def test_choice_probabilities_come_from_the_token_after_the_marker():
    with running() as server:
        provider = hasty(server.url, has_logprobs=True)
        (found,) = ask(provider, [request(reads_choice=True)])
        shares = answers.said(server.bodies[0]["messages"])[2]
        assert found.probabilities == pytest.approx(tuple(shares))
        assert server.bodies[0]["top_logprobs"] == 5
        (without,) = ask(hasty(server.url), [request(reads_choice=True)])
        assert without.probabilities is None
