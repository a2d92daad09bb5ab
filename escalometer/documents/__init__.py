"""Documents: profile, comparison, verdict, sample sizes, probes and others as typed models.

`analysis` makes them; reporting, tracking, the gate and ``--json`` read them. docs/documents.md and
the JSON Schemas in docs/schemas/ are generated from the models (``make docs``): the docstring of a
model and the description of a field are what a reader of the JSON gets.
"""

from escalometer.documents.canary import CanaryLook, CanaryNotice
from escalometer.documents.comparison import Comparison, Disagreements, ModelDifference
from escalometer.documents.document import Document
from escalometer.documents.history import History, HistoryEntry
from escalometer.documents.human_error import HumanErrorRate
from escalometer.documents.interval import Fit, Interval
from escalometer.documents.ledger import LedgerSummary
from escalometer.documents.policy import PolicyDocument
from escalometer.documents.probes import Probes
from escalometer.documents.profile import Profile
from escalometer.documents.promotion import Promotion
from escalometer.documents.sample_sizes import DesignSize, SampleSizes
from escalometer.documents.variant import (
    CONDITION_KEY,
    SCORED_KEY,
    VARIANT_KEY,
    ScoredVariant,
    Variant,
)
from escalometer.documents.verdict import RulePower, RuleResult, Verdict

__all__ = [
    "CONDITION_KEY",
    "SCORED_KEY",
    "VARIANT_KEY",
    "CanaryLook",
    "CanaryNotice",
    "Comparison",
    "DesignSize",
    "Disagreements",
    "Document",
    "Fit",
    "History",
    "HistoryEntry",
    "HumanErrorRate",
    "Interval",
    "LedgerSummary",
    "ModelDifference",
    "PolicyDocument",
    "Probes",
    "Profile",
    "Promotion",
    "RulePower",
    "RuleResult",
    "SampleSizes",
    "ScoredVariant",
    "Variant",
    "Verdict",
]
