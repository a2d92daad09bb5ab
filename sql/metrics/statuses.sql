-- metric: how many dialogues came to what; every row counts, also those that nothing can be read of
-- grain: one row per (model, domain, intervention, status)
-- source: decisions
with dialogues as (
    select
        model,
        domain,
        intervention,
        status
    from decisions
),

count_dialogues as (
    select
        model,
        domain,
        intervention,
        status,
        count(*)::bigint as n
    from dialogues
    group by model, domain, intervention, status
)

select
    model,
    domain,
    intervention,
    status,
    n
from count_dialogues
order by model, domain, intervention, status
