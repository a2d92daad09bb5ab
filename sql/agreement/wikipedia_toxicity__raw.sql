-- agreement: wikipedia_toxicity, raw
-- grain: one row per (n_judgements, n_positive)
-- source: wikipedia_toxicity_annotations
with judged_comments as (
    select
        rev_id,
        count(*) as n_judgements,
        -- As the label: a score below 0 is toxic.
        count_if(toxicity_score < 0) as n_positive
    from wikipedia_toxicity_annotations
    where toxicity_score is not null
    group by rev_id
)

select
    n_judgements,
    n_positive,
    count(*) as n_cases
from judged_comments
group by n_judgements, n_positive
order by n_judgements, n_positive
