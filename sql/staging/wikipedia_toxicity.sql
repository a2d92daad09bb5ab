-- staging: wikipedia_toxicity
-- grain: one row per (comment)
-- source: wikipedia_toxicity_source
-- Conditions and learned words look at `shown`, so that what a signal says of a comment can be read
-- off its prompt. It therefore has lost what `escalometer.cases.sanitize` would take out or cut anyway:
-- invisible characters and the ends of very long words, which can hold or hide a word.
with cleaned_comments as (
    select
        source_row,
        rev_id,
        is_toxic,
        trim(
            nfc_normalize(  -- last: it ends a text at a zero byte
                regexp_replace(
                    regexp_replace(
                        regexp_replace(raw_comment, 'NEWLINE_TOKEN|TAB_TOKEN', ' ', 'g'),
                        '[\p{Cf}\p{Co}\x{FE00}-\x{FE0F}]+',
                        '',
                        'g'
                    ),
                    '[\s\p{Cc}\p{Z}]+',
                    ' ',
                    'g'
                )
            )
        ) as comment_text
    from wikipedia_toxicity_source
),

-- The published files write a backtick for a double quote, also where CSV needs quotes of its own:
-- a comment with quotes stands between single ones and has its own doubled.
unquoted_comments as (
    select
        source_row,
        rev_id,
        is_toxic,
        trim(
            replace(
                regexp_replace(
                    regexp_replace(comment_text, '^`((?:``)*)([^`]|$)', '\1\2'),
                    '(^|[^`])((?:``)*)`$',
                    '\1\2'
                ),
                '``',
                '"'
            )
        ) as comment_text
    from cleaned_comments
),

shortened_comments as (
    select
        source_row,
        rev_id,
        is_toxic,
        regexp_replace(
            comment_text, '([!-\x{0DFF}]{57})[!-\x{0DFF}]{4,}', '\1...', 'g'
        ) as comment_text
    from unquoted_comments
),

-- What is shown ends with a whole word, since half of one could be another word; where the last
-- space is far off, the comment has no spaces between words.
shown_comments as (
    select
        source_row,
        rev_id,
        is_toxic,
        case
            when length(comment_text) <= 500 then comment_text
            else regexp_replace(comment_text[1:501], ' \S{0,60}$', '')[1:500]
        end as shown,
        length(comment_text) as n_characters
    from shortened_comments
)

select
    source_row,
    rev_id,
    shown,
    n_characters,
    cast(case when is_toxic then 0 else 1 end as tinyint) as label,  -- noqa: RF04
    concat('comment-', lpad(cast(rev_id as varchar), 12, '0')) as case_id
from shown_comments
where shown <> ''
order by case_id
