-- metric: least-squares line of escalation rate on predictive accuracy, with signal, solved for one half
-- grain: one row per (model, domain, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated); domain is null for all main domains together
-- source: escalation_curve
-- The study's threshold is the row without domain of the baseline intervention, not isolated, not
-- thinking.
-- The order within the sums keeps their last digit the same whatever the threads do.
with curve as (
    select
        *,
        domain as condition_domain
    from escalation_curve
    where has_signal
),

spread_levels as (
    select * replace (unnest(levels_of(domain, $side_domains)) as domain)
    from curve
),

fit_lines as (
    select
        model,
        domain,
        intervention,
        reasoning_effort,
        cost_ratio,
        framing,
        is_thinking,
        is_isolated,
        count(*)::bigint as n_conditions,
        min(predictive_accuracy) as lowest_accuracy,
        max(predictive_accuracy) as highest_accuracy,
        min(escalation_rate) as lowest_rate,
        max(escalation_rate) as highest_rate,
        avg(predictive_accuracy order by condition_domain, condition, signal_accuracy)
            as mean_accuracy,
        regr_slope(
            escalation_rate, predictive_accuracy
            order by condition_domain, condition, signal_accuracy
        ) as fitted_slope,
        regr_intercept(
            escalation_rate, predictive_accuracy
            order by condition_domain, condition, signal_accuracy
        ) as fitted_intercept,
        regr_r2(
            escalation_rate, predictive_accuracy
            order by condition_domain, condition, signal_accuracy
        ) as fitted_r_squared
    from spread_levels
    group by all
),

mark_degenerate as (
    -- One accuracy gives no line; a flat line explains nothing and crosses nowhere. What is left of
    -- a flat slope after rounding would give a threshold of 1e16.
    select
        *,
        case
            when lowest_accuracy = highest_accuracy then null
            when abs(fitted_slope) < 1e-9 then 0.0
            else fitted_slope
        end as slope,
        case
            when lowest_accuracy = highest_accuracy then null
            when lowest_rate = highest_rate then lowest_rate
            else fitted_intercept
        end as intercept,
        case
            when lowest_accuracy = highest_accuracy or lowest_rate = highest_rate then null
            else fitted_r_squared
        end as r_squared
    from fit_lines
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
    n_conditions,
    lowest_accuracy,
    highest_accuracy,
    mean_accuracy as predictive_accuracy,
    slope,
    intercept,
    r_squared,
    (0.5 - intercept) / nullif(slope, 0) as implicit_threshold
from mark_degenerate
order by all
