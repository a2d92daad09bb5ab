-- staging: hmda_mortgages
-- grain: one row per (application)
-- source: hmda_mortgages_applications
-- Ratios were stored in single precision at some time: 0.45 may read 0.4500000179. Four digits put
-- them back on the side of a condition's edge where they belong.
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
        round(pirat, 4) as pirat,
        round(hirat, 4) as hirat,
        round(lvrat, 4) as lvrat
    from hmda_mortgages_applications
)

-- The split key holds every feature that a text or a condition may use, and neither the outcome nor
-- the private columns: two applications that read alike never stand on both sides of a split.
select
    source_row,
    pirat as payments_to_income,
    hirat as housing_to_income,
    lvrat as loan_to_value,
    chist as consumer_credit,
    mhist as mortgage_credit,
    unemp as industry_unemployment_percent,
    cast(case deny when 'no' then 1 when 'yes' then 0 end as tinyint) as label,  -- noqa: RF04
    concat('application-', lpad(cast(source_row as varchar), 6, '0')) as case_id,
    md5(
        concat_ws(
            '|', pirat, hirat, lvrat, chist, mhist, phist, unemp, selfemp, condomin, hschool
        )
    ) as split_key,
    phist = 'yes' as has_public_bad_credit,
    selfemp = 'yes' as is_self_employed,
    condomin = 'yes' as is_condominium,
    hschool = 'yes' as has_high_school_diploma,
    insurance = 'yes' as was_denied_insurance,
    afam = 'yes' as is_african_american,
    unmarried = 'yes' as is_single
from applications
order by case_id
