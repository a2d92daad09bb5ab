-- staging: moral_machine_source
-- grain: one row per (response_id, is_hit_by_swerving)
-- source: moral_machine_derived
select
    source_row,
    "ResponseID" as response_id,  -- noqa: RF06
    "Intervention" = 1 as is_hit_by_swerving,  -- noqa: RF06
    "PedPed" = 1 as is_between_pedestrians,  -- noqa: RF06
    "Barrier" = 1 as are_passengers,  -- noqa: RF06
    "CrossingSignal" as crossing_signal,  -- noqa: RF06
    "AttributeLevel" as attribute_level,  -- noqa: RF06
    "NumberOfCharacters" as n_characters,  -- noqa: RF06
    "Saved" as saved,  -- noqa: RF06
    "UserCountry3" as country,  -- noqa: RF06
    "Review_age" as age,  -- noqa: RF06
    "Review_education" as education,  -- noqa: RF06
    "Review_gender" as gender,  -- noqa: RF06
    "Review_income" as income,  -- noqa: RF06
    "Review_political" as progressive,  -- noqa: RF06
    "Review_religious" as religious  -- noqa: RF06
from moral_machine_derived
