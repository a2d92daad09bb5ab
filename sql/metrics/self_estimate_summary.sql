-- metric: self-estimated accuracy and bias of a domain and of the model, each condition counting once
-- grain: one row per (model, reasoning_effort, is_thinking, domain); domain is null for all main domains together
-- source: self_estimated_accuracy, implicit_threshold
-- The mean rate goes through the line and is clipped once, as in the paper: clipping every
-- condition first would pull the mean down.
with estimates as (
    select
        *,
        domain as condition_domain
    from self_estimated_accuracy
),

lines as (
    select *
    from implicit_threshold
    where
        domain is null
        and intervention = 'baseline'
        and cost_ratio is null
        and not is_isolated
),

spread_levels as (
    select * replace (unnest(levels_of(domain, $side_domains)) as domain)
    from estimates
),

average_conditions as (
    select
        model,
        reasoning_effort,
        is_thinking,
        domain,
        count(*)::bigint as n_conditions,
        (count(*) filter (where is_clipped))::bigint as n_clipped,
        avg(escalation_rate order by condition_domain, condition, signal_accuracy)
            as escalation_rate,
        avg(predictive_accuracy order by condition_domain, condition, signal_accuracy)
            as predictive_accuracy,
        avg(signalled_accuracy order by condition_domain, condition, signal_accuracy)
            as signalled_accuracy
    from spread_levels
    group by all
),

invert_lines as (
    select
        averages.*,
        (averages.escalation_rate - lines.intercept) / nullif(lines.slope, 0)
            as unclipped_accuracy
    from average_conditions as averages
    left join lines
        on
            averages.model = lines.model
            and averages.reasoning_effort is not distinct from lines.reasoning_effort
            and averages.is_thinking = lines.is_thinking
),

clip_estimates as (
    select
        *,
        case
            when unclipped_accuracy is not null
                then greatest(0.0, least(1.0, unclipped_accuracy))
        end as self_estimated_accuracy
    from invert_lines
)

select
    model,
    reasoning_effort,
    is_thinking,
    domain,
    n_conditions,
    n_clipped,
    escalation_rate,
    self_estimated_accuracy,
    predictive_accuracy,
    signalled_accuracy,
    self_estimated_accuracy - predictive_accuracy as calibration_bias,
    self_estimated_accuracy - signalled_accuracy as calibration_bias_signalled
from clip_estimates
order by all
