-- staging: wikipedia_toxicity_source
-- grain: one row per (rev_id)
-- source: wikipedia_toxicity_comments, wikipedia_toxicity_annotations
with judged_comments as (
    select
        rev_id,
        avg(toxicity_score) < 0 as is_toxic
    from wikipedia_toxicity_annotations
    group by rev_id
)

-- Comments without a judgement are not decisions.
select
    published_comments.source_row,
    cast(published_comments.rev_id as bigint) as rev_id,
    published_comments.comment as raw_comment,
    judged_comments.is_toxic
from wikipedia_toxicity_comments as published_comments
inner join judged_comments on published_comments.rev_id = judged_comments.rev_id
