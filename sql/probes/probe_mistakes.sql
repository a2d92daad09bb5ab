-- metric: which mistakes the chains of thought have, by probe
-- grain: one row per (probe, model_role, mistake)
-- source: probed
-- A chain can be wrong and its action right all the same; n_right says how often.
with dialogues as (
    select
        probe,
        model_role,
        mistake,
        is_right,
        count(*) over (partition by probe, model_role) as n_dialogues
    from probed
),

count_mistakes as (
    select
        probe,
        model_role,
        mistake,
        n_dialogues,
        count(*)::bigint as n,
        count(*) filter (where is_right)::bigint as n_right
    from dialogues
    where mistake is not null
    group by all
)

select
    probe,
    model_role,
    mistake,
    n,
    n_right,
    n_dialogues,
    n / n_dialogues::double as share_of_dialogues
from count_mistakes
order by all
