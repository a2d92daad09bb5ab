"""Domains of a person's own: a YAML file and the table that it names, checked and built."""
