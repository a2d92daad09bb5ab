-- metric: what two models did in the same dialogue
-- grain: one row per (domain, condition, signal_accuracy, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, scenario_id, replicate)
-- source: decisions
-- The same: domain, condition, scenario, replicate and intervention. Every status counts; where
-- nothing was answered, is_correct and is_escalated are null. What stands twice pairs with nothing.
with dialogues as not materialized (
    -- Of a dialogue that stands once, any value is its only one. Read for each model, not copied.
    select
        model,
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
        any_value(label) as label,
        any_value(prediction) as prediction,
        any_value(escalate) as escalate,
        any_value(status) as status,
        any_value(prediction = label) as is_correct,
        any_value(escalate = 1) as is_escalated
    from decisions
    where model in ($first, $second) and scenario_id is not null
    group by all
    having count(*) = 1
)

select
    former.domain,
    former.condition,
    former.signal_accuracy,
    former.intervention,
    former.reasoning_effort,
    former.cost_ratio,
    former.framing,
    former.is_thinking,
    former.is_isolated,
    former.has_signal,
    former.scenario_id,
    former.replicate,
    former.label,
    former.prediction as first_prediction,
    former.escalate as first_escalate,
    former.status as first_status,
    former.is_correct as first_is_correct,
    former.is_escalated as first_is_escalated,
    latter.prediction as second_prediction,
    latter.escalate as second_escalate,
    latter.status as second_status,
    latter.is_correct as second_is_correct,
    latter.is_escalated as second_is_escalated
from dialogues as former
inner join dialogues as latter
    on
        former.domain = latter.domain
        and former.condition = latter.condition
        and former.signal_accuracy = latter.signal_accuracy
        and former.intervention = latter.intervention
        and former.reasoning_effort is not distinct from latter.reasoning_effort
        and former.cost_ratio is not distinct from latter.cost_ratio
        and former.framing is not distinct from latter.framing
        and former.is_thinking = latter.is_thinking
        and former.is_isolated = latter.is_isolated
        and former.has_signal = latter.has_signal
        and former.scenario_id = latter.scenario_id
        and former.replicate = latter.replicate
where former.model = $first and latter.model = $second
order by all
