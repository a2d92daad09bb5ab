-- metric: how often the model is right where it says, or its choice has, a given probability, in ten equal bins
-- grain: one row per (model, domain, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, score, bin); domain is null for all main domains together
-- source: decisions
-- Bin b holds b / 10 up to (b + 1) / 10, and the last one 1 as well. Decimals, so that 0.3 lies in
-- bin 3 however a float stores it, and so that sums are exact: the order of rows is none of them.
with dialogues as (
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
        stated_confidence,
        prediction_probability,
        prediction = label as is_correct
    from decisions
    where status in ('ok', 'forced')
),

list_scores as (
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
        'stated_confidence' as score,
        stated_confidence as confidence,
        is_correct
    from dialogues
    where stated_confidence is not null
    union all
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
        'choice_probability' as score,
        prediction_probability as confidence,
        is_correct
    from dialogues
    where prediction_probability is not null
),

count_bins as (
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
        least(floor(confidence::decimal(18, 12) * 10), 9)::integer as bin,
        count(*)::bigint as n,
        (count(*) filter (where is_correct))::bigint as n_correct,
        sum(confidence::decimal(18, 12)) as sum_confidence
    from list_scores
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
        score,
        bin
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
        score,
        bin,
        n,
        n_correct,
        sum_confidence
    from count_bins
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
        score,
        bin,
        sum(n)::bigint as n,
        sum(n_correct)::bigint as n_correct,
        sum(sum_confidence) as sum_confidence
    from count_bins
    where not list_contains($side_domains::varchar[], domain)
    group by
        model,
        intervention,
        reasoning_effort,
        cost_ratio,
        framing,
        is_thinking,
        is_isolated,
        has_signal,
        score,
        bin
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
from spread_levels
order by
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
    bin
