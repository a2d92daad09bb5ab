-- staging: moral_machine
-- grain: one row per (response)
-- source: moral_machine_source
with outcomes as (
    select
        source_row,
        response_id,
        is_hit_by_swerving,
        is_between_pedestrians,
        are_passengers,
        crossing_signal,
        attribute_level,
        n_characters,
        saved,
        country,
        age,
        education,
        gender,
        income,
        progressive,
        religious
    from moral_machine_source
),

-- Codes as words. Incomes are codes too, some with letters in them: a cast to numbers would lose
-- whoever has less than the lowest or more than the highest.
worded_outcomes as (
    select
        source_row,
        response_id,
        is_hit_by_swerving,
        are_passengers,
        n_characters,
        saved,
        coalesce(country, 'unstated') as country,
        case when age between 0 and 120 then cast(floor(age) as integer) end as age,
        coalesce(education, 'default') as education,
        progressive,
        religious,
        case
            when attribute_level is null then 'mixed'
            when attribute_level = 'Female' then 'female'
            when attribute_level = 'Male' then 'male'
            when attribute_level = 'Fit' then 'fit'
            when attribute_level = 'Fat' then 'overweight'
            when attribute_level = 'High' then 'of high status'
            when attribute_level = 'Low' then 'of low status'
            when attribute_level = 'Young' then 'young'
            when attribute_level = 'Old' then 'elderly'
            when attribute_level = 'Hoomans' then 'human'
            when attribute_level = 'Pets' then 'pet'
        end as kind,
        case
            when not is_between_pedestrians then 'unstated'
            when crossing_signal = 0 then 'unregulated'
            when crossing_signal = 1 then 'legal'
            when crossing_signal = 2 then 'illegal'
        end as crossing,
        case gender
            when 'female' then 'woman' when 'male' then 'man' when 'others' then 'other'
            else 'unstated'
        end as gender,
        case income
            when 'under5000' then 0
            when '5000' then 1
            when '10000' then 2
            when '15000' then 3
            when '25000' then 4
            when '35000' then 5
            when '50000' then 6
            when '80000' then 7
            when 'above100000' then 8
            when 'over10000' then 8
        end as income_rank
    from outcomes
),

-- The published file has outcomes without their counterpart, since some rows were filtered out of
-- it: a response counts where there is one outcome of staying and one of swerving.
whole_responses as (
    select response_id
    from worded_outcomes
    where n_characters is not null
    group by response_id
    having
        count(*) = 2
        and count_if(is_hit_by_swerving) = 1
),

paired_outcomes as (
    select
        stay.source_row,
        stay.response_id as case_id,
        stay.n_characters as stay_number,
        stay.kind as stay_kind,
        stay.are_passengers as stay_are_passengers,
        stay.crossing as stay_crossing,
        swerve.n_characters as swerve_number,
        swerve.kind as swerve_kind,
        swerve.are_passengers as swerve_are_passengers,
        swerve.crossing as swerve_crossing,
        stay.age,
        stay.gender,
        stay.country,
        stay.education,
        stay.income_rank,
        stay.progressive,
        stay.religious,
        -- Who saves both or neither has decided nothing: that is an error, and null says so.
        case when stay.saved + swerve.saved = 1 then stay.saved end as stay_saved
    from worded_outcomes as stay
    inner join worded_outcomes as swerve on stay.response_id = swerve.response_id
    semi join whole_responses on stay.response_id = whole_responses.response_id
    where not stay.is_hit_by_swerving and swerve.is_hit_by_swerving
)

-- Which group is listed first is drawn by what the case says: cases that read alike stay alike.
select
    source_row,
    case_id,
    stay_number,
    stay_kind,
    stay_are_passengers,
    stay_crossing,
    swerve_number,
    swerve_kind,
    swerve_are_passengers,
    swerve_crossing,
    age,
    gender,
    country,
    education,
    income_rank,
    progressive,
    religious,
    cast(stay_saved as tinyint) as label,  -- noqa: RF04
    stay_number - swerve_number as stay_surplus,
    $is_balanced
    and md5(
        concat_ws(
            '|',
            stay_number,
            stay_kind,
            stay_are_passengers,
            stay_crossing,
            swerve_number,
            swerve_kind,
            swerve_are_passengers,
            swerve_crossing,
            coalesce(cast(age as varchar), 'unstated'),
            gender,
            country
        )
    ) < '8' as is_swerve_first
from paired_outcomes
order by case_id
