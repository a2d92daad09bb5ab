-- metric: how many dialogues are worth one each where several are about the same scenario
-- grain: one row per (model, domain, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal); domain is null for all main domains together
-- source: decisions, escalation_curve
-- The design effect is the variance of the sum when scenarios are independent, over that when
-- dialogues are; the effective number is n over it. Decimals add up to the same in any order.
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
        scenario_id,
        (prediction = label)::int as n_correct,
        escalate::int as n_escalated
    from decisions
    where status in ('ok', 'forced') and scenario_id is not null
),

curve as (
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
        predictive_accuracy,
        escalation_rate
    from escalation_curve
),

subtract_means as (
    select
        dialogues.model,
        dialogues.domain,
        dialogues.condition,
        dialogues.intervention,
        dialogues.reasoning_effort,
        dialogues.cost_ratio,
        dialogues.framing,
        dialogues.is_thinking,
        dialogues.is_isolated,
        dialogues.has_signal,
        dialogues.signal_accuracy,
        dialogues.scenario_id,
        (dialogues.n_correct - curve.predictive_accuracy)::decimal(14, 12) as correct_residual,
        (dialogues.n_escalated - curve.escalation_rate)::decimal(14, 12)
            as escalation_residual
    from dialogues
    inner join curve
        on
            dialogues.model = curve.model
            and dialogues.domain = curve.domain
            and dialogues.condition = curve.condition
            and dialogues.intervention = curve.intervention
            and dialogues.reasoning_effort is not distinct from curve.reasoning_effort
            and dialogues.cost_ratio is not distinct from curve.cost_ratio
            and dialogues.framing is not distinct from curve.framing
            and dialogues.is_thinking = curve.is_thinking
            and dialogues.is_isolated = curve.is_isolated
            and dialogues.has_signal = curve.has_signal
            and dialogues.signal_accuracy = curve.signal_accuracy
),

sum_scenarios as (
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
        scenario_id,
        count(*)::bigint as n,
        count(distinct condition)::bigint as n_conditions,
        sum(correct_residual)::double as correct_residual,
        sum(escalation_residual)::double as escalation_residual,
        sum((correct_residual::double * correct_residual)::decimal(20, 12)) as correct_square,
        sum((escalation_residual::double * escalation_residual)::decimal(20, 12))
            as escalation_square
    from subtract_means
    group by
        model,
        domain,
        intervention,
        reasoning_effort,
        cost_ratio,
        framing,
        is_thinking,
        is_isolated,
        has_signal,
        scenario_id
),

spread_levels as (
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
        n_conditions,
        (correct_residual * correct_residual)::decimal(30, 12) as correct_together,
        (escalation_residual * escalation_residual)::decimal(30, 12) as escalation_together,
        correct_square,
        escalation_square
    from sum_scenarios
    union all
    select
        model,
        null as domain,
        intervention,
        reasoning_effort,
        cost_ratio,
        framing,
        is_thinking,
        is_isolated,
        has_signal,
        n,
        n_conditions,
        (correct_residual * correct_residual)::decimal(30, 12) as correct_together,
        (escalation_residual * escalation_residual)::decimal(30, 12) as escalation_together,
        correct_square,
        escalation_square
    from sum_scenarios
    where not list_contains($side_domains::varchar[], domain)
),

sum_levels as (
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
        sum(n)::bigint as n,
        count(*)::bigint as n_scenarios,
        (count(*) filter (where n_conditions > 1))::bigint as n_overlapping,
        max(n_conditions)::bigint as most_conditions,
        sum(correct_together)::double / nullif(sum(correct_square)::double, 0)
            as accuracy_design_effect,
        sum(escalation_together)::double / nullif(sum(escalation_square)::double, 0)
            as escalation_design_effect
    from spread_levels
    group by
        model,
        domain,
        intervention,
        reasoning_effort,
        cost_ratio,
        framing,
        is_thinking,
        is_isolated,
        has_signal
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
    most_conditions,
    accuracy_design_effect,
    escalation_design_effect,
    n / nullif(accuracy_design_effect, 0) as n_effective_accuracy,
    n / nullif(escalation_design_effect, 0) as n_effective_escalation
from sum_levels
order by
    model,
    domain,
    intervention,
    reasoning_effort,
    cost_ratio,
    framing,
    is_thinking,
    is_isolated,
    has_signal
