"""MLflow as it is imported first: it reads these settings then, and takes seconds to import."""

import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

# The submodules are those that logging a run and its traces imports later.
import alembic.command
import git
import mlflow
import mlflow.data.meta_dataset
import mlflow.pyfunc
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.model_registry.sqlalchemy_workspace_store
import mlflow.store.tracking.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_workspace_store
import mlflow.tracing.export.mlflow_v3
import mlflow.tracing.processor.mlflow_v3
import mlflow.tracking.fluent
import mlflow.utils.search_logged_model_utils
import sqlalchemy.dialects.sqlite

__all__ = ["alembic", "git", "mlflow", "sqlalchemy"]
