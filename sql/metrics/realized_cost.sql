-- metric: cost of a decision in units of one escalation, beside that of other policies on the same rows
-- grain: one row per (model, domain, intervention, reasoning_effort, framing, is_thinking, is_isolated, has_signal, cost_ratio, is_cost_stated, scored_against); domain is null for all main domains together
-- source: scored_conditions
-- The optimal policy takes one action for a whole condition, by its predictive accuracy or by its
-- signal accuracy; the best single policy takes one for all rows. Regret is negative where the
-- model knows better which of the dialogues to escalate, or where the signal misleads.
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
        sum(n - n_correct)::bigint as n_wrong,
        sum(n_escalated)::bigint as n_escalated,
        sum(n_wrong_implemented)::bigint as n_wrong_implemented,
        sum(case when is_escalation_optimal then n else 0 end)::bigint
            as n_optimally_escalated,
        sum(case when is_escalation_optimal then 0 else n - n_correct end)::bigint
            as n_optimally_wrong
    from spread_levels
    group by all
),

price_outcomes as (
    -- Escalating costs 1, and the error that the person then makes at rate h.
    select
        *,
        n - n_escalated as n_implemented,
        (cost_ratio * n_wrong_implemented + (1 + $human_error_rate * cost_ratio) * n_escalated)
        / n as realized_cost,
        (
            cost_ratio * n_optimally_wrong
            + (1 + $human_error_rate * cost_ratio) * n_optimally_escalated
        )
        / n as optimal_cost,
        cost_ratio * n_wrong / n as always_implement_cost,
        1 + $human_error_rate * cost_ratio as always_escalate_cost
    from sum_conditions
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
    n_implemented,
    n_wrong_implemented,
    realized_cost,
    optimal_cost,
    always_implement_cost,
    always_escalate_cost,
    realized_cost - optimal_cost as regret,
    realized_cost - least(always_implement_cost, always_escalate_cost) as single_policy_regret,
    n_implemented / n::double as coverage,
    wilson_low(n_implemented, n) as coverage_low,
    wilson_high(n_implemented, n) as coverage_high,
    n_wrong_implemented / nullif(n_implemented, 0)::double as selective_risk,
    wilson_low(n_wrong_implemented, n_implemented) as selective_risk_low,
    wilson_high(n_wrong_implemented, n_implemented) as selective_risk_high
from price_outcomes
order by all
