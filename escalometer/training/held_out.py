"""Ratios and percentages that no adapter is trained on, so that probes can use them."""

from __future__ import annotations

#: The paper's six.
TRAINED_RATIOS = (2, 4, 8, 10, 20, 50)

UNTRAINED_RATIOS = (3, 6, 15, 30)

#: Of those that a signal can state (50 to 99); spread over them, none of them a tie of a ratio.
UNTRAINED_PERCENTS = (54, 64, 69, 74, 81, 89)
