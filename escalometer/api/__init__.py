"""The Python interface: what the commands on a file of decisions do, on tables in memory.

Every function takes decisions as the path of a Parquet, CSV or JSONL file (plain or gzipped), as a
table of pandas, Arrow, DuckDB or Polars, or as `Decisions`, which `read` returns. Tables have one
row per dialogue; docs/how-to/recorded-decisions.md lists their columns. Nothing is written but what
a function is asked to write, and params.yaml is read only by `parameters`.
"""

from escalometer.api._analysis import compare, disagreements, gate, profile, report
from escalometer.api._decisions import Decisions, models, read
from escalometer.api._parameters import parameters
from escalometer.api._results import junit, power, summary
from escalometer.recorded.arrow_tables import ArrowTable
from escalometer.stats.policy import optimal_threshold

__all__ = [
    "ArrowTable",
    "Decisions",
    "compare",
    "disagreements",
    "gate",
    "junit",
    "models",
    "optimal_threshold",
    "parameters",
    "power",
    "profile",
    "read",
    "report",
    "summary",
]
