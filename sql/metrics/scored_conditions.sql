-- metric: the cost-optimal action of every condition at a cost ratio, and how often it was taken
-- grain: one row per (escalation_curve's grain, scored_ratio, scored_against)
-- source: escalation_curve
-- Where a cost was stated, only that ratio is scored; elsewhere every requested one.
with requested as (
    select unnest($cost_ratios::double[]) as scored_ratio
),

list_ratios as (
    select
        scored_ratio,
        false as is_stated
    from requested
    union
    select
        cost_ratio as scored_ratio,
        true as is_stated
    from escalation_curve
    where cost_ratio is not null
),

list_scores as (
    select unnest(['signal_accuracy', 'predictive_accuracy']) as scored_against
),

find_optimal as (
    select
        curve.*,
        list_ratios.scored_ratio,
        list_scores.scored_against,
        case list_scores.scored_against
            when 'signal_accuracy'
                then escalation_pays_at(
                    curve.signal_accuracy, list_ratios.scored_ratio, $human_error_rate
                )
            else escalation_pays_for(
                curve.n - curve.n_correct, curve.n, list_ratios.scored_ratio, $human_error_rate
            )
        end as is_escalation_optimal
    from escalation_curve as curve
    inner join list_ratios
        on
            (list_ratios.is_stated and curve.cost_ratio = list_ratios.scored_ratio)
            or (not list_ratios.is_stated and curve.cost_ratio is null)
    cross join list_scores
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
    scored_ratio,
    scored_against,
    n,
    n_correct,
    n_escalated,
    n_wrong_implemented,
    is_escalation_optimal,
    case when is_escalation_optimal then n_escalated else n - n_escalated end as n_optimal
from find_optimal
order by all
