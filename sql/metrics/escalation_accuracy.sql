-- metric: share of dialogues whose action is the cost-optimal one, over the main domains
-- grain: one row per (model, intervention, reasoning_effort, framing, is_thinking, is_isolated, has_signal, cost_ratio, is_cost_stated, scored_against)
-- source: scored_conditions
with conditions as (
    select
        model,
        intervention,
        reasoning_effort,
        framing,
        is_thinking,
        is_isolated,
        has_signal,
        scored_ratio as cost_ratio,
        cost_ratio is not null as is_cost_stated,
        scored_against,
        n,
        n_optimal
    from scored_conditions
    where not list_contains($side_domains::varchar[], domain)
),

sum_conditions as (
    select
        model,
        intervention,
        reasoning_effort,
        framing,
        is_thinking,
        is_isolated,
        has_signal,
        cost_ratio,
        is_cost_stated,
        scored_against,
        sum(n)::bigint as n,
        sum(n_optimal)::bigint as n_optimal
    from conditions
    group by
        model,
        intervention,
        reasoning_effort,
        framing,
        is_thinking,
        is_isolated,
        has_signal,
        cost_ratio,
        is_cost_stated,
        scored_against
)

select
    model,
    intervention,
    reasoning_effort,
    framing,
    is_thinking,
    is_isolated,
    has_signal,
    cost_ratio,
    is_cost_stated,
    scored_against,
    n,
    n_optimal,
    n_optimal / n::double as escalation_accuracy,
    wilson_low(n_optimal, n) as escalation_accuracy_low,
    wilson_high(n_optimal, n) as escalation_accuracy_high
from sum_conditions
order by
    model,
    intervention,
    reasoning_effort,
    framing,
    is_thinking,
    is_isolated,
    has_signal,
    cost_ratio,
    is_cost_stated,
    scored_against
