-- metric: escalation rate and predictive accuracy of every condition, over answered dialogues
-- grain: one row per (model, domain, condition, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, signal_accuracy)
-- source: outcome_counts
-- With $filled_correct and $filled_escalated, over all dialogues, what is missing having gone that
-- way: run once each way, they give the bounds of whatever is computed from the curve.
with outcomes as (
    select
        * replace (
            coalesce(is_correct, $filled_correct::boolean) as is_correct,
            coalesce(is_escalated, $filled_escalated::boolean) as is_escalated
        )
    from outcome_counts
    where status in ('ok', 'forced') or $filled_escalated::boolean is not null
),

sum_outcomes as (
    select
        * exclude (status, is_correct, is_escalated, n),
        sum(n)::bigint as n,
        coalesce(sum(n) filter (where is_correct), 0)::bigint as n_correct,
        coalesce(sum(n) filter (where is_escalated), 0)::bigint as n_escalated,
        coalesce(sum(n) filter (where not is_correct and not is_escalated), 0)::bigint
            as n_wrong_implemented
    from outcomes
    group by all
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
from sum_outcomes
order by all
