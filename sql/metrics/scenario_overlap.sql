-- metric: how many dialogues are worth one each where several are about the same scenario
-- grain: one row per (model, domain, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal); domain is null for all main domains together
-- source: decisions, outcome_counts, escalation_curve
-- The design effect is the variance of the sum when scenarios are independent, over that when
-- dialogues are; the effective number is n over it. Residuals are whole numbers of 1e-9, which
-- floats add up exactly in any order; numbers and hashes stand for columns, since tens of millions
-- of rows are grouped by scenario.
with cells as (
    select
        *,
        cell_key(escalation_curve) as cell_key,
        dense_rank() over (
            order by
                model, domain, intervention, reasoning_effort, cost_ratio, framing, is_thinking,
                is_isolated, has_signal
        ) as arm,
        round(1e9 * predictive_accuracy) as accuracy,
        round(1e9 * escalation_rate) as rate
    from escalation_curve
),

dialogues as (
    select
        cell_key(decisions) as cell_key,
        hash(scenario_id) as scenario,
        (prediction = label)::int as is_correct,
        escalate::int as is_escalated
    from decisions
    where status in ('ok', 'forced') and scenario_id is not null
),

subtract_means as (
    select
        cells.arm,
        cells.cell_key,
        dialogues.scenario,
        1e9 * dialogues.is_correct - cells.accuracy as correct_residual,
        1e9 * dialogues.is_escalated - cells.rate as escalation_residual
    from dialogues
    inner join cells on dialogues.cell_key = cells.cell_key
),

sum_scenarios as (
    select
        arm,
        scenario,
        count(*)::bigint as n,
        min(cell_key) <> max(cell_key) as is_overlapping,
        sum(correct_residual) as correct_residual,
        sum(escalation_residual) as escalation_residual
    from subtract_means
    group by arm, scenario
),

sum_arms as (
    select
        arm,
        sum(n)::bigint as n,
        count(*)::bigint as n_scenarios,
        (count(*) filter (where is_overlapping))::bigint as n_overlapping,
        sum((correct_residual * correct_residual / 1e18)::decimal(38, 12)) as correct_together,
        sum((escalation_residual * escalation_residual / 1e18)::decimal(38, 12))
            as escalation_together
    from sum_scenarios
    group by arm
),

unknown as (
    select
        cell_key(decisions) as cell_key,
        prediction = label as is_correct,
        escalate = 1 as is_escalated
    from decisions
    where status in ('ok', 'forced') and scenario_id is null
),

add_counts as (
    -- What is known is everything less the unknown, mostly none: no second look at all dialogues.
    select
        cell_key(outcome_counts) as cell_key,
        is_correct,
        is_escalated,
        n
    from outcome_counts
    where status in ('ok', 'forced')
    union all
    select
        *,
        -1 as n
    from unknown
),

count_cells as (
    select
        cell_key,
        sum(n)::bigint as n,
        coalesce(sum(n) filter (where is_correct), 0)::bigint as n_correct,
        coalesce(sum(n) filter (where is_escalated), 0)::bigint as n_escalated
    from add_counts
    group by cell_key
),

square_residuals as (
    -- Each dialogue's own square, from counts: a residual is one of two numbers.
    select
        cells.arm,
        cells.model,
        cells.domain,
        cells.intervention,
        cells.reasoning_effort,
        cells.cost_ratio,
        cells.framing,
        cells.is_thinking,
        cells.is_isolated,
        cells.has_signal,
        sum((
            count_cells.n_correct * (1 - cells.accuracy / 1e9) ^ 2
            + (count_cells.n - count_cells.n_correct) * (cells.accuracy / 1e9) ^ 2
        )::decimal(38, 12)) as correct_apart,
        sum((
            count_cells.n_escalated * (1 - cells.rate / 1e9) ^ 2
            + (count_cells.n - count_cells.n_escalated) * (cells.rate / 1e9) ^ 2
        )::decimal(38, 12)) as escalation_apart
    from cells
    inner join count_cells on cells.cell_key = count_cells.cell_key
    group by all
),

join_sums as (
    select
        square_residuals.*,
        sum_arms.n,
        sum_arms.n_scenarios,
        sum_arms.n_overlapping,
        sum_arms.correct_together,
        sum_arms.escalation_together
    from square_residuals
    inner join sum_arms on square_residuals.arm = sum_arms.arm
),

spread_levels as (
    select * replace (unnest(levels_of(domain, $side_domains)) as domain)
    from join_sums
),

sum_levels as (
    select
        * exclude (
            arm, n, n_scenarios, n_overlapping, correct_together, escalation_together,
            correct_apart, escalation_apart
        ),
        sum(n)::bigint as n,
        sum(n_scenarios)::bigint as n_scenarios,
        sum(n_overlapping)::bigint as n_overlapping,
        sum(correct_together)::double / nullif(sum(correct_apart)::double, 0)
            as accuracy_design_effect,
        sum(escalation_together)::double / nullif(sum(escalation_apart)::double, 0)
            as escalation_design_effect
    from spread_levels
    group by all
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
    n,
    n_scenarios,
    n_overlapping,
    accuracy_design_effect,
    escalation_design_effect,
    n / nullif(accuracy_design_effect, 0) as n_effective_accuracy,
    n / nullif(escalation_design_effect, 0) as n_effective_escalation
from sum_levels
order by all
