-- metric: how often the model is right where it says, or its choice has, a given probability, in ten equal bins
-- grain: one row per (model, domain, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, score, bin); domain is null for all main domains together
-- source: decisions
-- Bin b holds b / 10 up to (b + 1) / 10, and the last one 1 as well. Decimals, so that 0.3 lies in
-- bin 3 however a float stores it, and so that sums are exact: the order of rows is none of them.
with count_bins as (
    select
        * exclude (is_correct, confidence),
        least(floor(confidence::decimal(18, 12) * 10), 9)::integer as bin,
        count(*)::bigint as n,
        (count(*) filter (where is_correct))::bigint as n_correct,
        sum(confidence::decimal(18, 12)) as sum_confidence
    from list_confidences(decisions)
    group by all
),

spread_levels as (
    select * replace (unnest(levels_of(domain, $side_domains)) as domain)
    from count_bins
),

sum_levels as (
    select
        * replace (
            sum(n)::bigint as n,
            sum(n_correct)::bigint as n_correct,
            sum(sum_confidence) as sum_confidence
        )
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
    score,
    bin,
    n,
    n_correct,
    sum_confidence::double / n as mean_confidence,
    n_correct / n::double as accuracy,
    wilson_low(n_correct, n) as accuracy_low,
    wilson_high(n_correct, n) as accuracy_high
from sum_levels
order by all
