-- metric: paired dialogues in which two models predicted differently or acted differently
-- grain: one row per (domain, condition, signal_accuracy, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, scenario_id, replicate)
-- source: paired_dialogues
-- A missing prediction or action differs from any that is there.
with compare_answers as (
    select
        *,
        (first_prediction is distinct from second_prediction) as is_other_prediction,
        (first_escalate is distinct from second_escalate) as is_other_action
    from paired_dialogues
)

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
    scenario_id,
    replicate,
    label,
    first_prediction,
    second_prediction,
    first_escalate,
    second_escalate,
    first_status,
    second_status,
    is_other_prediction,
    is_other_action
from compare_answers
where is_other_prediction or is_other_action
order by all
