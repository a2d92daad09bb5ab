"""A policy as a guardrail of the LiteLLM proxy: answers that it escalates do not get through.

In the proxy's configuration::

    guardrails:
      - guardrail_name: escalation
        litellm_params:
          guardrail: escalometer.adapters.litellm_guardrail.PolicyGuardrail
          mode: [pre_call, post_call]
          default_on: true
          policy_file: policy.json

The application states the case in the request: ``"metadata": {"escalometer": {"condition": …,
"confidence": …}}``. The model's own action is read from the answer, after its last marker.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Any

from litellm.exceptions import GuardrailRaisedException
from litellm.integrations.custom_guardrail import CustomGuardrail

from escalometer.policy import ESCALATE, Decision, load

#: The key of the request's metadata that states the case.
KEY = "escalometer"

_MARKER = re.compile(r"DECISION:\s*([01])")
_STREAMED = "a streamed answer cannot be held back: set stream to false"
_STATED = ("condition", "confidence", "domain", "version", "prompt_digest")


class PolicyGuardrail(CustomGuardrail):  # type: ignore[misc]
    """Blocks an answer, with the reason, where the policy escalates.

    Parameters
    ----------
    policy_file : str
        The policy.
    policy_model : str, optional
        The policy's name of the proxy's model; by default the name in the request counts.
    on_escalate : {"block", "flag"}
        `block`: the request fails with status 403 and the reason. `flag`: the answer has the
        decision in ``provider_specific_fields.escalometer`` of its message.
    **settings
        Of LiteLLM.
    """

    def __init__(
        self,
        policy_file: str,
        policy_model: str | None = None,
        on_escalate: str = "block",
        **settings: Any,
    ) -> None:
        if on_escalate not in ("block", "flag"):
            raise ValueError(f"on_escalate is block or flag, found {on_escalate!r}")
        if "post_call" not in _modes(settings.get("event_hook")):
            raise ValueError("mode must have post_call: the policy decides on answers")
        self.policy = load(policy_file)
        self.policy_model, self.is_blocking = policy_model, on_escalate == "block"
        super().__init__(**settings)

    async def async_pre_call_hook(
        self,
        user_api_key_dict: Any,  # noqa: ARG002
        cache: Any,  # noqa: ARG002
        data: dict[str, Any],
        call_type: Any,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Refuse a stream: its words are out before its action is known."""
        if data.get("stream"):
            raise self._blocked(_STREAMED)
        return data

    async def async_post_call_success_hook(
        self,
        data: dict[str, Any],
        user_api_key_dict: Any,  # noqa: ARG002
        response: Any,
    ) -> Any:
        """Return the answer where the policy acts; block or flag it where it escalates."""
        messages = [getattr(c, "message", None) for c in getattr(response, "choices", None) or ()]
        if not messages or None in messages:
            raise self._blocked("the answer is no chat completion")
        for message in messages:
            decision = self._decision(data, getattr(message, "content", None))
            if decision.action == ESCALATE and self.is_blocking:
                raise self._blocked(decision.reason)
            fields = getattr(message, "provider_specific_fields", None) or {}
            message.provider_specific_fields = {**fields, KEY: decision._asdict()}  # type: ignore[union-attr]
        return response

    async def async_post_call_streaming_iterator_hook(
        self,
        user_api_key_dict: Any,  # noqa: ARG002
        response: Any,  # noqa: ARG002
        request_data: dict[str, Any],  # noqa: ARG002
    ) -> AsyncGenerator[Any, None]:
        """Refuse a stream where `pre_call` is not among the modes."""
        raise self._blocked(_STREAMED)
        yield  # makes this a generator

    def _decision(self, data: dict[str, Any], answer: Any) -> Decision:
        """Return the decision on one answer."""
        metadata = data.get("metadata")
        stated = metadata.get(KEY) if isinstance(metadata, dict) else None
        case = stated if isinstance(stated, dict) else {}
        found = _MARKER.findall(answer) if isinstance(answer, str) else []
        return self.policy.decide(
            own_action=int(found[-1]) if found else None,
            model=self.policy_model or data.get("model"),
            **{name: case[name] for name in _STATED if name in case},
        )

    def _blocked(self, reason: str) -> GuardrailRaisedException:
        return GuardrailRaisedException(
            guardrail_name=self.guardrail_name,
            message=f"escalate: {reason}",
            should_wrap_with_default_message=False,
            status_code=403,
            blocked_content=True,
        )


def _modes(event_hook: Any) -> list[str]:
    """Return the names of the events that a guardrail is called at."""
    events = event_hook if isinstance(event_hook, list) else [event_hook]
    return [str(getattr(event, "value", event)) for event in events]
