"""ModelStore: one planned store as a component. Executes the plan, decides nothing."""

from __future__ import annotations

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.store.plan import StorePlan


class ModelStore(pulumi.ComponentResource):
    """A place that holds weights. Output: `location`, for a folder store its absolute path.

    A folder is never created or deleted: the weights in it are the user's.
    """

    location: pulumi.Output[str]

    def __init__(self, name: str, plan: StorePlan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.MODEL_STORE, name, {"kind": plan.kind, "path": str(plan.path)}, opts)
        self.location = pulumi.Output.from_input(str(plan.path))
        self.register_outputs({"location": self.location})
