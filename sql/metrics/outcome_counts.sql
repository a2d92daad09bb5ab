-- metric: how many dialogues of every condition came out in which way; all other counts come from here
-- grain: one row per (model, domain, condition, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, signal_accuracy, status, is_correct, is_escalated)
-- source: decisions
-- is_correct and is_escalated are null where there is no prediction or no action.
select
    model,
    domain,
    condition,
    intervention,
    reasoning_effort,
    cost_ratio,
    framing,
    is_thinking,
    is_isolated,
    has_signal,
    signal_accuracy,
    status,
    prediction = label as is_correct,
    escalate = 1 as is_escalated,
    count(*)::bigint as n
from decisions
group by all
order by all
