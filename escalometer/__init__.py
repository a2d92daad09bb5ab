"""escalometer: where does a language model act, and where does it escalate to a person?"""

__version__ = "0.1.0"
