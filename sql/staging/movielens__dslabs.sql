-- staging: movielens__dslabs
-- grain: one row per (user_id, movie_id)
-- source: movielens_ratings
select
    source_row,
    rating,
    title,
    genres,
    year as release_year,
    "userId" as user_id,  -- noqa: RF06
    "movieId" as movie_id  -- noqa: RF06
from movielens_ratings
