"""Defines the options of an estimate; they decide nothing of the study itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

ALL: Final = "all"
"""Name under which one value stands for all datasets or models."""

_Positive = Annotated[float, Field(gt=0, le=1e15)]


class EstimateConfig(BaseModel):
    """Options of `imaxray study --dry-run`.

    Example:
        >>> EstimateConfig(entries=["imax=354003"], tokens_per_second=["5200"]).tokens_per_second
        {'all': 5200.0}
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    entries: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="Train entries of a dataset that is not built yet, as DATA=NUMBER, e.g. "
        "imax=354003; default: imax.target_entries of the configuration.",
    )
    entries_per_image: dict[str, Annotated[float, Field(ge=1, le=1_000_000)]] = Field(
        default_factory=dict,
        description="Mean entries per image of a dataset that is not built yet, as DATA=NUMBER; "
        "default for imax: imax.entries_per_image of the configuration.",
    )
    text_tokens: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Mean text tokens of an entry, question and answer together, of data that are "
        "not built yet.",
    )
    image_width: int = Field(
        default=2544,
        ge=1,
        le=1_000_000,
        description="Width in pixels of images that are not built yet; the default is common in "
        "MIMIC-CXR.",
    )
    image_height: int = Field(
        default=3056,
        ge=1,
        le=1_000_000,
        description="Height in pixels of images that are not built yet.",
    )
    sample: int = Field(
        default=20_000,
        ge=1,
        description="Entries per unit whose tokens are counted; a longer training is counted in "
        "steps spread evenly over it.",
    )
    processes: int = Field(
        default=1, ge=1, le=1_000_000, description="Processes of each training, one per GPU."
    )
    tokens_per_second: dict[str, _Positive] = Field(
        default_factory=dict,
        description="Measured speed of training in tokens per second over all processes, as "
        "MODEL=NUMBER, or one number for all models; default: that of finished runs of this study.",
    )

    @field_validator("entries", "entries_per_image", "tokens_per_second", mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        """Read NAME=NUMBER, or a number that stands for all, as the command line gives them."""
        if given is None or isinstance(given, Mapping):
            return given or {}
        found: dict[str, float] = {}
        for item in [given] if isinstance(given, str | int | float) else given:
            name, _, number = str(item).rpartition("=")
            try:
                found[name or ALL] = float(number)
            except ValueError:
                raise ValueError(f"it should be NAME=NUMBER or a number, not {item}") from None
        return found

    def entries_of(self, data: str) -> int | None:
        """Return the number of train entries that was given for a dataset."""
        return self.entries.get(data, self.entries.get(ALL))

    def entries_per_image_of(self, data: str) -> float | None:
        """Return the mean number of entries per image that was given for a dataset."""
        return self.entries_per_image.get(data, self.entries_per_image.get(ALL))

    def speed_of(self, model: str) -> float | None:
        """Return the tokens per second that were given for a model."""
        return self.tokens_per_second.get(model, self.tokens_per_second.get(ALL))
