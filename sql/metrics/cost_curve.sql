-- metric: cost of a decision at every cost ratio, of the model's own policy and of others on the same rows
-- grain: one row per (model, domain, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, scored_ratio); domain is null for all main domains together
-- source: escalation_curve
-- cost_ratio is the one that the prompt stated; scored_ratio the one that errors really have.
with list_ratios as (
    select unnest($curve_ratios::double[]) as scored_ratio
),

spread_levels as (
    select * replace (unnest(levels_of(domain, $side_domains)) as domain)
    from escalation_curve
),

find_policies as (
    select
        spread_levels.*,
        list_ratios.scored_ratio,
        escalation_pays_at(
            spread_levels.signal_accuracy, list_ratios.scored_ratio, $human_error_rate
        ) as signal_says_escalate,
        escalation_pays_for(
            spread_levels.n - spread_levels.n_correct,
            spread_levels.n,
            list_ratios.scored_ratio,
            $human_error_rate
        ) as is_escalation_optimal
    from spread_levels
    cross join list_ratios
),

sum_conditions as (
    select
        model,
        domain,
        intervention,
        reasoning_effort,
        cost_ratio,
        framing,
        is_thinking,
        is_isolated,
        has_signal,
        scored_ratio,
        sum(n)::bigint as n,
        sum(n - n_correct)::bigint as n_wrong,
        sum(n_escalated)::bigint as n_escalated,
        sum(n_wrong_implemented)::bigint as n_wrong_implemented,
        sum(case when signal_says_escalate then n else 0 end)::bigint as n_signal_escalated,
        sum(case when signal_says_escalate then 0 else n - n_correct end)::bigint
            as n_signal_wrong,
        sum(case when is_escalation_optimal then n else 0 end)::bigint
            as n_optimally_escalated,
        sum(case when is_escalation_optimal then 0 else n - n_correct end)::bigint
            as n_optimally_wrong
    from find_policies
    group by all
),

price_escalation as (
    -- Escalating costs 1, and the error that the person then makes at rate h.
    select
        *,
        1 + $human_error_rate * scored_ratio as escalation_cost
    from sum_conditions
)

select
    model,
    domain,
    intervention,
    reasoning_effort,
    cost_ratio,
    framing,
    is_thinking,
    is_isolated,
    has_signal,
    scored_ratio,
    n,
    n_escalated / n::double as escalation_rate,
    (scored_ratio * n_wrong_implemented + escalation_cost * n_escalated) / n as realized_cost,
    scored_ratio * n_wrong / n as always_implement_cost,
    escalation_cost as always_escalate_cost,
    (scored_ratio * n_signal_wrong + escalation_cost * n_signal_escalated) / n
        as signal_policy_cost,
    (scored_ratio * n_optimally_wrong + escalation_cost * n_optimally_escalated) / n
        as optimal_cost
from price_escalation
order by all
