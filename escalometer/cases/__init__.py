"""Cases: from raw files to scenarios with conditions, signals and splits."""
