-- metric: how good stated confidence and choice probability are as probabilities of being right
-- grain: one row per (model, domain, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, score); domain is null for all main domains together
-- source: decisions, reliability
-- Log loss is in nats, with probabilities kept a millionth away from 0 and 1: one dialogue that is
-- wrong at 1 would make it infinite. Each term becomes a decimal before it is summed, so that sums
-- are exact and the order of rows changes nothing; 38 digits hold them far beyond 50 million rows.
with score_dialogues as (
    select
        * replace (confidence::decimal(18, 12) as confidence),
        (
            (confidence - is_correct::integer) * (confidence - is_correct::integer)
        )::decimal(18, 12) as squared_error,
        (
            -ln(1 - abs(is_correct::integer - greatest(1e-6, least(confidence, 1 - 1e-6))))
        )::decimal(18, 12) as surprise,
        confidence < 1e-6 or confidence > 1 - 1e-6 as is_clipped
    from list_confidences(decisions)
),

sum_domains as (
    select
        * exclude (is_correct, confidence, squared_error, surprise, is_clipped),
        count(*)::bigint as n,
        (count(*) filter (where is_correct))::bigint as n_correct,
        (count(*) filter (where is_clipped))::bigint as n_clipped,
        sum(confidence) as sum_confidence,
        sum(squared_error) as sum_squared_error,
        sum(surprise) as sum_surprise
    from score_dialogues
    group by all
),

spread_levels as (
    select * replace (unnest(levels_of(domain, $side_domains)) as domain)
    from sum_domains
),

sum_levels as (
    select
        * replace (
            sum(n)::bigint as n,
            sum(n_correct)::bigint as n_correct,
            sum(n_clipped)::bigint as n_clipped,
            sum(sum_confidence) as sum_confidence,
            sum(sum_squared_error) as sum_squared_error,
            sum(sum_surprise) as sum_surprise
        )
    from spread_levels
    group by all
),

weigh_bins as (
    select
        * exclude (bin, n, n_correct, mean_confidence, accuracy, accuracy_low, accuracy_high),
        sum((n * abs(accuracy - mean_confidence))::decimal(38, 12)) as sum_gap
    from reliability
    group by all
)

select
    levels.model,
    levels.domain,
    levels.intervention,
    levels.reasoning_effort,
    levels.cost_ratio,
    levels.framing,
    levels.is_thinking,
    levels.is_isolated,
    levels.has_signal,
    levels.score,
    levels.n,
    levels.n_correct,
    levels.n_clipped,
    levels.sum_confidence::double / levels.n as mean_confidence,
    levels.n_correct / levels.n::double as accuracy,
    levels.sum_squared_error::double / levels.n as brier,
    levels.sum_surprise::double / levels.n as log_loss,
    bins.sum_gap::double / levels.n as expected_calibration_error
from sum_levels as levels
inner join weigh_bins as bins
    on
        levels.model = bins.model
        and levels.domain is not distinct from bins.domain
        and levels.intervention = bins.intervention
        and levels.reasoning_effort is not distinct from bins.reasoning_effort
        and levels.cost_ratio is not distinct from bins.cost_ratio
        and levels.framing is not distinct from bins.framing
        and levels.is_thinking = bins.is_thinking
        and levels.is_isolated = bins.is_isolated
        and levels.has_signal = bins.has_signal
        and levels.score = bins.score
order by all
