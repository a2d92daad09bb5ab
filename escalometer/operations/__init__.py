"""Operations: what commands do that is not a stage of the pipeline."""
