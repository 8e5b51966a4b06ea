"""The common manners of every contract document: frozen, camelCase on the wire, unknown keys refused."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """A frozen value with one canonical JSON form. Python names are snake_case, JSON keys camelCase."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        protected_namespaces=(),
    )

    def canonical_json(self) -> str:
        """Give one text for one value: sorted keys, no spaces. Equal documents give equal bytes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """Return the sha256 of the canonical JSON, 64 hex digits."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()
