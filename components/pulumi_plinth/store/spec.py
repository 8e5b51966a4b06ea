"""StoreSpec: a place that holds weights. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pulumi_plinth.spec import Spec


class StoreSpec(Spec):
    """A store of weights. Its name is its key under `stores`."""

    kind: Literal["folder"] = Field(default="folder", description="A folder on this host is the only kind so far.")
    path: str = Field(
        min_length=1,
        description="The folder; a relative one starts at the project's root. Required: no place suits all.",
    )
