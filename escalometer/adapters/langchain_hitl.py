"""A policy in LangChain's human-in-the-loop middleware: which tool calls wait for a person."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from escalometer.policy import ESCALATE, Decision, Policy

#: From a tool call (`name`, `args`, `id`) to the arguments of `Policy.decide`.
Facts: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]

#: Decisions that are kept for the moment at which a paused run resumes.
_MOST_KEPT = 10_000


def interrupt_on(
    policy: Policy,
    tools: Iterable[str],
    facts: Facts,
    allowed_decisions: Sequence[str] = ("approve", "edit", "reject"),
) -> dict[str, dict[str, Any]]:
    """Return the argument `interrupt_on` of `HumanInTheLoopMiddleware`.

    A call of one of the tools runs where the policy acts, and waits for a person where it
    escalates; the person reads the reason.

    Parameters
    ----------
    policy : Policy
    tools : iterable of str
        Names of the tools that carry out a prediction.
    facts : callable
        Returns condition, confidence, own action and model of a tool call. They must come from the
        application, not from arguments that the model writes: a model could state any confidence.
    allowed_decisions : sequence of str
        What the person may do.

    Examples
    --------
    >>> middleware = HumanInTheLoopMiddleware(interrupt_on(policy, ["refund"], facts))
    """
    kept: OrderedDict[str, Decision] = OrderedDict()

    def decided(call: Mapping[str, Any]) -> Decision:
        """Return the decision on a call: the same one when a paused run resumes."""
        key = str(call.get("id"))
        decision = kept.get(key) if call.get("id") else None
        if decision is None:
            decision = policy.decide(**facts(call))
            kept[key] = decision
            if len(kept) > _MOST_KEPT:
                kept.popitem(last=False)
        return decision

    def when(request: Any) -> bool:
        return decided(request.tool_call).action == ESCALATE

    def description(tool_call: Mapping[str, Any], state: Any, runtime: Any) -> str:  # noqa: ARG001
        return f"Escalated: {decided(tool_call).reason}."

    return {
        name: {
            "allowed_decisions": list(allowed_decisions),
            "when": when,
            "description": description,
        }
        for name in tools
    }
