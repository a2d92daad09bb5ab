"""Documents: what analysis says of a model, as typed models that everything else reads."""
