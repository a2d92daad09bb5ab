-- metric: accuracy at which the model's own line with signal gives the rate it shows without one
-- grain: one row per (model, reasoning_effort, is_thinking, domain, condition, signal_accuracy)
-- source: escalation_curve, implicit_threshold
-- calibration_bias is matched: against the accuracy of the same dialogues without signal. The
-- paper's variant is against the accuracy of the condition's dialogues with signal.
with curve as (
    select *
    from escalation_curve
    where
        intervention in ('baseline', 'no_signal')
        and has_signal = (intervention = 'baseline')
        and cost_ratio is null
        and not is_isolated
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

invert_lines as (
    select
        unsignalled.*,
        (unsignalled.escalation_rate - lines.intercept) / nullif(lines.slope, 0)
            as unclipped_accuracy
    from curve as unsignalled
    left join lines
        on
            unsignalled.model = lines.model
            and unsignalled.reasoning_effort is not distinct from lines.reasoning_effort
            and unsignalled.is_thinking = lines.is_thinking
    where unsignalled.intervention = 'no_signal'
),

clip_estimates as (
    select
        *,
        unclipped_accuracy < 0 or unclipped_accuracy > 1 as is_clipped,
        case
            when unclipped_accuracy is not null
                then greatest(0.0, least(1.0, unclipped_accuracy))
        end as self_estimated_accuracy
    from invert_lines
)

select
    estimates.model,
    estimates.reasoning_effort,
    estimates.is_thinking,
    estimates.domain,
    estimates.condition,
    estimates.signal_accuracy,
    estimates.n,
    estimates.escalation_rate,
    estimates.unclipped_accuracy,
    estimates.is_clipped,
    estimates.self_estimated_accuracy,
    estimates.predictive_accuracy,
    signalled.predictive_accuracy as signalled_accuracy,
    estimates.self_estimated_accuracy - estimates.predictive_accuracy as calibration_bias,
    estimates.self_estimated_accuracy - signalled.predictive_accuracy
        as calibration_bias_signalled
from clip_estimates as estimates
left join curve as signalled
    on
        estimates.model = signalled.model
        and estimates.reasoning_effort is not distinct from signalled.reasoning_effort
        and estimates.is_thinking = signalled.is_thinking
        and estimates.domain = signalled.domain
        and estimates.condition = signalled.condition
        and estimates.signal_accuracy = signalled.signal_accuracy
        and signalled.intervention = 'baseline'
order by all
