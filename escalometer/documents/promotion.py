"""The part of a verdict that says what became of the release in MLflow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from escalometer.documents.document import Document


class Promotion(Document):
    """The result of `gate --promote`: the alias `in-use` of a registered model in MLflow.

    Only a verdict that passes moves the alias: docs/decisions/0036-registry.md.
    """

    registered_model: str = Field(
        description="The registered model whose versions are releases: `track.registered_model`."
    )
    status: Literal["promoted", "unchanged", "not_passed", "refused"] = Field(
        description="`promoted`: the alias was moved to the version judged; `unchanged`: it "
        "pointed there already; `not_passed`: the verdict is not `pass`; `refused`: an error, "
        "after which nothing was moved."
    )
    version: int | None = Field(
        description="The version of the evaluation that was judged; null where it is not known."
    )
    model: str = Field(description="The release that was judged.")
    before_version: int | None = Field(
        description="The version that was in use before; null where there was none."
    )
    before_model: str | None = Field(description="Its model.")
    text: str = Field(description="The same in words.")
