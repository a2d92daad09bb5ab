-- staging: wikipedia_toxicity_source
-- grain: one row per (rev_id)
-- source: wikipedia_toxicity_derived
select
    source_row,
    rev_id,
    comment as raw_comment,
    toxicity_mean_score_lt0 = 1 as is_toxic
from wikipedia_toxicity_derived
