-- metric: how many dialogues came to what; every row counts, also those that nothing can be read of
-- grain: one row per (model, domain, intervention, status)
-- source: outcome_counts
select
    model,
    domain,
    intervention,
    status,
    sum(n)::bigint as n
from outcome_counts
group by all
order by all
