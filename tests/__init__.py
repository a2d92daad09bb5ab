"""The tests. README.md says how they are run and what they share."""

import os

# Each worker has one core, and so does a process that it starts: threads that wait for each other
# would take it from the others. torch, numpy and scikit-learn read this when they are imported.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# One's own settings would decide where the tests' runs and histories go.
for _variable in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
    os.environ.pop(_variable, None)
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["DO_NOT_TRACK"] = "true"
