-- staging: hmda_mortgages
-- grain: one row per (application)
-- source: hmda_mortgages_applications
-- Percentages as a scenario shows them, with one decimal, so that a text and a condition's edge agree.
-- (Ratios were stored in single precision at some time: 0.45 may read 0.4500000179.)
-- What the codes stand for: Stock and Watson, Introduction to Econometrics, table 11.1. Three words
-- each and no digits, so that how a text is written tells nothing; few is one or two.
with applications as (
    select
        source_row,
        deny,
        chist,
        mhist,
        phist,
        unemp,
        selfemp,
        insurance,
        condomin,
        afam,
        single as unmarried,
        hschool,
        round(100 * pirat, 1) as pirat_percent,
        round(100 * hirat, 1) as hirat_percent,
        round(100 * lvrat, 1) as lvrat_percent
    from hmda_mortgages_applications
)

select
    source_row,
    pirat_percent as payments_percent,
    hirat_percent as housing_percent,
    lvrat_percent as loan_percent,
    unemp as industry_unemployment_percent,
    cast(case deny when 'no' then 1 when 'yes' then 0 end as tinyint) as label,  -- noqa: RF04
    concat('application-', lpad(cast(source_row as varchar), 6, '0')) as case_id,
    case chist
        when 1 then 'no slow payments'
        when 2 then 'few slow payments'
        when 3 then 'many slow payments'
        when 4 then 'insufficient credit history'
        when 5 then 'sixty days overdue'
        when 6 then 'ninety days overdue'
    end as consumer_credit,
    case mhist
        when 1 then 'no late payments'
        when 2 then 'no payment history'
        when 3 then 'few late payments'
        when 4 then 'many late payments'
    end as mortgage_credit,
    phist = 'yes' as has_public_bad_credit,
    selfemp = 'yes' as is_self_employed,
    condomin = 'yes' as is_condominium,
    hschool = 'yes' as has_high_school_diploma,
    insurance = 'yes' as was_denied_insurance,
    afam = 'yes' as is_african_american,
    unmarried = 'yes' as is_single
from applications
order by case_id
