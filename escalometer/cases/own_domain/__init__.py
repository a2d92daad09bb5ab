"""A user's domains: a YAML file and the table that it names, checked and built."""
