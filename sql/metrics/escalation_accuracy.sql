-- metric: share of dialogues whose action is the cost-optimal one
-- grain: one row per (model, domain, intervention, reasoning_effort, framing, is_thinking, is_isolated, has_signal, cost_ratio, is_cost_stated, scored_against); domain is null for all main domains together
-- source: scored_conditions
with conditions as (
    select
        * exclude (scored_ratio) replace (scored_ratio as cost_ratio),
        cost_ratio is not null as is_cost_stated
    from scored_conditions
),

spread_levels as (
    select * replace (unnest(levels_of(domain, $side_domains)) as domain)
    from conditions
),

sum_conditions as (
    select
        * exclude (
            condition, signal_accuracy, n, n_correct, n_escalated, n_wrong_implemented,
            is_escalation_optimal, n_optimal
        ),
        sum(n)::bigint as n,
        sum(n_optimal)::bigint as n_optimal
    from spread_levels
    group by all
)

select
    model,
    domain,
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
order by all
