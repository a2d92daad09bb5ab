-- metric: escalation rate and predictive accuracy of every condition, over answered dialogues
-- grain: one row per (model, domain, condition, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, signal_accuracy)
-- source: decisions
with dialogues as (
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
        prediction = label as is_correct,
        escalate = 1 as is_escalated
    from decisions
    where status in ('ok', 'forced')
),

count_outcomes as (
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
        count(*)::bigint as n,
        (count(*) filter (where is_correct))::bigint as n_correct,
        (count(*) filter (where is_escalated))::bigint as n_escalated,
        (count(*) filter (where not is_correct and not is_escalated))::bigint
            as n_wrong_implemented
    from dialogues
    group by
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
        signal_accuracy
)

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
    n,
    n_correct,
    n_escalated,
    n_wrong_implemented,
    n_correct / n::double as predictive_accuracy,
    n_escalated / n::double as escalation_rate,
    wilson_low(n_escalated, n) as escalation_rate_low,
    wilson_high(n_escalated, n) as escalation_rate_high
from count_outcomes
order by
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
    signal_accuracy
