"""The running process: progress, interruption, whole-file writes, the git commit."""
