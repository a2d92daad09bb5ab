-- metric: predictions of turn 1 that match the label, before and after, and how often both predict alike
-- grain: one row per (domain); domain is null for all domains together
-- source: probed
-- Each first turn counts once, where scenario and signal are the data's own. Unread is not right.
with first_turns as (
    select
        domain,
        prompt,
        label,
        model_role,
        any_value(prediction) as prediction
    from probed
    where is_plain
    group by all
),

pair_turns as (
    select
        base.domain,
        base.label,
        base.prediction as base_prediction,
        tuned.prediction as tuned_prediction
    from first_turns as base
    inner join first_turns as tuned
        on
            base.domain = tuned.domain
            and base.prompt = tuned.prompt
            and base.label = tuned.label
    where base.model_role = 'base' and tuned.model_role = 'tuned'
),

count_turns as (
    select
        domain,
        count(*)::bigint as n,
        count(*) filter (where base_prediction = label)::bigint as n_base_right,
        count(*) filter (where tuned_prediction = label)::bigint as n_tuned_right,
        count(*) filter (where base_prediction is null)::bigint as n_base_unparsed,
        count(*) filter (where tuned_prediction is null)::bigint as n_tuned_unparsed,
        count(*) filter (where base_prediction = tuned_prediction)::bigint as n_alike
    from pair_turns
    group by
        grouping sets ((domain), ())
)

select
    domain,
    n,
    n_base_right,
    n_tuned_right,
    n_base_unparsed,
    n_tuned_unparsed,
    n_alike,
    n_base_right / n::double as base_accuracy,
    wilson_low(n_base_right, n) as base_accuracy_low,
    wilson_high(n_base_right, n) as base_accuracy_high,
    n_tuned_right / n::double as tuned_accuracy,
    wilson_low(n_tuned_right, n) as tuned_accuracy_low,
    wilson_high(n_tuned_right, n) as tuned_accuracy_high,
    n_alike / n::double as alike,
    wilson_low(n_alike, n) as alike_low,
    wilson_high(n_alike, n) as alike_high
from count_turns
where n > 0
order by domain
