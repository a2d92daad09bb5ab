-- metric: how many dialogues came to what; every row counts, also those that nothing can be read of
-- grain: one row per (model, domain, intervention, status)
-- source: outcome_counts
with outcomes as (
    select
        model,
        domain,
        intervention,
        status,
        n
    from outcome_counts
),

sum_outcomes as (
    select
        model,
        domain,
        intervention,
        status,
        sum(n)::bigint as n
    from outcomes
    group by model, domain, intervention, status
)

select
    model,
    domain,
    intervention,
    status,
    n
from sum_outcomes
order by model, domain, intervention, status
