"""Defines the options that select pseudo annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)


class FilterConfig(BaseModel):
    """The options that select pseudo answers; without filters, every readable answer is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    confidence: bool = Field(
        default=True,
        description="Drop answers below a threshold of confidence, which the validation split "
        "gives for each task.",
    )
    score: Literal["confidence", "visual-advantage"] = Field(
        default="confidence",
        description="Score that thresholds compare: the probability of the answer (confidence), or "
        "how much more probable the image makes it (visual-advantage).",
    )
    precision: float = Field(
        default=0.9,
        gt=0,
        lt=1,
        description="Share of right answers that each task's threshold aims at.",
    )
    risk: float | None = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Accepted probability that the precision is lower than asked for; 0 trusts "
        "the observed precision.",
    )
    consistency: bool = Field(
        default=True,
        description="Drop answers that contradict other annotations of the same image.",
    )
    balance: bool = Field(
        default=False, description="Keep each answer's share as it is among the real entries."
    )
    fuse: bool = Field(
        default=False,
        description="Fuse all that is said of each fact of an image into one calibrated "
        "probability, and render answers from the facts.",
    )
    perfect: bool = Field(
        default=False,
        description="Keep exactly the answers that the truth confirms, and use no other filter; "
        "this is for studies and needs the truth.",
    )
    rules: Path | None = Field(
        default=None,
        description="YAML file with consistency rules of your own, beside the built-in ones.",
    )

    @field_validator("risk", mode="after")
    @classmethod
    def _observed(cls, risk: float | None) -> float | None:
        return risk or None  # 0 stands for None on the command line

    # checks the field and not the model: an ablation copies a config and switches filters off
    @field_validator("rules", mode="after")
    @classmethod
    def _used(cls, rules: Path | None, info: ValidationInfo) -> Path | None:
        if rules is not None and info.data.get("consistency") is False:
            raise ValueError(
                "consistency is off, so no rules are used; turn it on, or give no rules"
            )
        return rules

    @model_validator(mode="after")
    def _alone(self) -> FilterConfig:
        if self.perfect and (self.confidence or self.consistency or self.balance or self.fuse):
            raise ValueError("perfect cannot be combined with other filters; turn the others off")
        if self.fuse and self.score != "confidence":
            raise ValueError("fuse computes a score of its own; leave score or fuse out")
        return self

    def decides(self) -> dict[str, Any]:
        """Return the settings that decide what is kept, for identities of pseudo IMAX.

        The rules are missing, because their content and not their path decides. So is an option of
        a later version that has its default, so that work of earlier versions stays valid.
        """
        settings = self.model_dump(mode="json", exclude={"rules"})
        defaults = {k: field.default for k, field in FilterConfig.model_fields.items()}
        return {k: v for k, v in settings.items() if k not in _LATER or v != defaults[k]}


_LATER: Final = ("fuse", "score")
