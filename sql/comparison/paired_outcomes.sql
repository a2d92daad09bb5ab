-- metric: how many paired dialogues of every condition came out in which way for two models
-- grain: one row per (domain, condition, signal_accuracy, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, first_status, second_status, first_is_correct, second_is_correct, first_is_escalated, second_is_escalated)
-- source: paired_dialogues
select
    domain,
    condition,
    signal_accuracy,
    intervention,
    reasoning_effort,
    cost_ratio,
    framing,
    is_thinking,
    is_isolated,
    has_signal,
    first_status,
    second_status,
    first_is_correct,
    second_is_correct,
    first_is_escalated,
    second_is_escalated,
    count(*)::bigint as n
from paired_dialogues
group by all
order by all
