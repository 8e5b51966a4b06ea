"""What the agent remembers of one model on this node. Pure; `records.py` keeps it on disk."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from plinth_runtime.contract.base import Document
from plinth_runtime.contract.model_names import ModelKey, ModelKind


class Begun(Document):
    """A fetch that was begun: written before it starts, so that what it leaves is found whatever happens."""

    kind: ModelKind
    namespace: str = ""
    name: str
    declared: str
    address: str
    link: str
    before: str | None = Field(
        default=None, description="Where the link led when the fetch began: while it still does, nothing has come."
    )

    @property
    def key(self) -> ModelKey:
        """The declaration."""
        return ModelKey(self.kind, self.namespace, self.name)

    def record(self, snapshot: str, content: str, **more: Any) -> Record:
        """Make the record of what it brought."""
        mine = self.model_dump(by_alias=False, exclude={"before"})
        return Record(**mine, snapshot=snapshot, content=content, **more)


class Superseded(Document):
    """Older content of a model, kept for whoever still serves it."""

    snapshot: str
    since: float = Field(description="Unix time since when nothing leads to it any more.")


class Record(Document):
    """Content that is here, for one declaration."""

    kind: ModelKind
    namespace: str = ""
    name: str
    declared: str = Field(description="Digest of the wish that this content answers.")
    address: str = Field(description="Where it came from.")
    link: str = Field(description="Where it can be found: a link to the snapshot.")
    snapshot: str = Field(description="The folder in the cache.")
    content: str = Field(description="Digest of its manifest.")
    bytes: int = Field(default=0, ge=0)
    verified: bool = Field(default=False, description="Something vouched for it.")
    reserved: bool = Field(default=False, description="It stays when the declaration goes.")
    released: float | None = Field(
        default=None, description="Unix time since when the node is not meant any more and the link is gone."
    )
    superseded: tuple[Superseded, ...] = Field(default=(), description="Older content that is still to be removed.")
    described: dict[str, Any] = Field(default_factory=dict, description="What the folder says of the model, as spec.")

    @property
    def key(self) -> ModelKey:
        """The declaration."""
        return ModelKey(self.kind, self.namespace, self.name)
