-- staging: lending_club
-- grain: one row per (application), of those that state all five features
-- source: lending_club_source
-- Accepted and rejected applications come from forms that were filled in differently. What follows
-- puts both on one scale, so that how a value is written says nothing of the decision.
with applications as (
    select
        source_row,
        case_id,
        label,
        amount,
        debt_percent,
        score,
        employment_text,
        lower(trim(regexp_replace(purpose_text, '[_\s-]+', ' ', 'g'))) as stated_purpose
    from lending_club_source
),

-- Accepted purposes are codes (debt_consolidation); rejected ones are codes, headings ("Car
-- financing") or the applicant's own words. The first pattern that fits decides, special before
-- general. Every purpose has two words: their number says nothing either. A title that fits no
-- purpose, such as a user name, is rejected without exception (accepted ones have codes): as
-- "other" it would betray the label, so it gives no purpose, and the application is left out.
worded as (
    select
        source_row,
        case_id,
        label,
        amount,
        debt_percent,
        score,
        case
            when regexp_matches(stated_purpose, '\bwedding\b') then 'wedding expenses'
            when regexp_matches(stated_purpose, '\b(vacation|honeymoon)\b') then 'vacation expenses'
            when regexp_matches(stated_purpose, '\b(medical|dental|surgery|hospital)\b')
                then 'medical expenses'
            when regexp_matches(stated_purpose, '\b(moving|relocat\w+)\b') then 'moving expenses'
            when
                regexp_matches(
                    stated_purpose,
                    '\b(education\w*|school|college|tuition|textbooks|student|learning)\b'
                )
                then 'educational expenses'
            when regexp_matches(stated_purpose, '\b(renewable energy|green loan|solar)\b')
                then 'renewable energy'
            when
                regexp_matches(
                    stated_purpose, '\bhome improvement|\b(remodel|renovat)|\b(roof|pool)\b'
                )
                then 'home improvement'
            when regexp_matches(stated_purpose, '\b(home buying|new home|house)\b')
                then 'home buying'
            when regexp_matches(stated_purpose, '\bbusiness|\bstart ?up\b') then 'small business'
            when regexp_matches(stated_purpose, '\b(cars?|autos?|trucks?|motorcycles?|vehicles?)\b')
                then 'car financing'
            when regexp_matches(stated_purpose, '\b(credit ?cards?|cards?|cc)\b')
                then 'credit card'
            when
                regexp_matches(
                    stated_purpose, '\bconsol|\bdebts?\b|\bbills\b|\brefi\b|\brefinanc|\bpay ?off\b'
                )
                then 'debt consolidation'
            when regexp_matches(stated_purpose, '\bmajor purchase\b') then 'major purchase'
            when regexp_matches(stated_purpose, '^other( loan)?$') then 'other purpose'
        end as purpose,
        case employment_text
            when '< 1 year' then 0
            when '10+ years' then 10
            else try_cast(regexp_extract(employment_text, '^([1-9]) years?$', 1) as tinyint)
        end as employment_years
    from applications
)

-- Amounts go down to the next 500: accepted ones are more often odd (24% are no multiple of 500,
-- of the rejected 4%), since an amount that the lender reduced is recorded as reduced. Below 1,000 and
-- over 40,000 LendingClub lent nothing. Scores go down to the next 5: accepted ones are published
-- in such bands, rejected ones are any whole number; 0 and scores over 850 are on no scale of
-- today. Ratios have one decimal; -1, exactly 100 and 999 or more are codes rather than ratios:
-- 100 alone is one in twenty of the rejected, and none of the accepted.
select
    source_row,
    case_id,
    purpose,
    cast(label as tinyint) as label,  -- noqa: RF04
    cast(floor(amount / 500) * 500 as integer) as loan_amount,
    cast(employment_years as tinyint) as employment_years,
    round(debt_percent, 1) as debt_to_income,
    cast(floor(score / 5) * 5 as smallint) as credit_score
from worded
where
    purpose is not null
    and employment_years is not null
    and amount between 1000 and 40000
    and debt_percent >= 0
    and debt_percent < 999
    and round(debt_percent, 1) <> 100
    and score between 300 and 850
order by case_id
