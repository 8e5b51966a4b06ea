"""Lifecycle: how far a model is trusted and for how long. Pure."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from pulumi_plinth.quantities import Flag
from pulumi_plinth.spec import Spec

_TIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?"
)


class Lifecycle(Spec):
    """Phase, size class and support of a model."""

    phase: Literal["ACTIVE", "DEPRECATED", "EXPERIMENTAL", "PUBLIC", "INTERNAL"] = Field(
        default="ACTIVE", description="Phase of life. Default: ACTIVE; DEPRECATED warns with `deprecationTime`."
    )
    category: Literal["SMALL", "MEDIUM", "LARGE"] | None = Field(
        default=None, description="Size class, used for quotas and pools. Default: none; OME takes SMALL then."
    )
    experimental: Flag = Field(default=False, description="Not meant for production. Default: false.")
    internal: Flag = Field(default=False, description="Only for the own organisation. Default: false, external.")
    long_term_support: Flag | None = Field(default=None, description="Supported for years. Default: not said.")
    deprecation_time: str | None = Field(
        default=None, description="ISO 8601 time since when the model is deprecated. Default: it is not."
    )
    disabled: Flag = Field(default=False, description="Refuse to serve it. Default: false.")

    @field_validator("deprecation_time")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None and not _TIME.fullmatch(value):
            raise ValueError('is not a time; write for example "2025-06-30" or "2025-06-30T00:00:00Z"')
        return value
