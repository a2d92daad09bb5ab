-- staging: movielens__grouplens
-- grain: one row per (user_id, movie_id)
-- source: movielens_ml_ratings, movielens_ml_movies
with ratings as (
    select
        source_row,
        rating,
        "userId" as user_id,  -- noqa: RF06
        "movieId" as movie_id  -- noqa: RF06
    from movielens_ml_ratings
),

-- "Matrix, The (1999)": the year stands at the end, of a series the first one: "(2006–2007)".
movies as (
    select
        genres,
        "movieId" as movie_id,  -- noqa: RF06
        trim(regexp_replace(title, '\s*\(\d{4}([-–]\d{0,4})?\)\s*$', '')) as title,
        try_cast(
            regexp_extract(title, '\((\d{4})([-–]\d{0,4})?\)\s*$', 1) as integer
        ) as release_year
    from movielens_ml_movies
)

select
    ratings.source_row,
    ratings.rating,
    movies.title,
    movies.genres,
    movies.release_year,
    ratings.user_id,
    ratings.movie_id
from ratings
inner join movies on ratings.movie_id = movies.movie_id
