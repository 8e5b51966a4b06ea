"""How many copies of a model are wanted and what each may use. Pure."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pulumi_plinth.quantities import Count, Cpu, Memory, quantity
from pulumi_plinth.spec import Spec

ServingMode = Literal["On-demand", "Dedicated"]


class Resources(Spec):
    """What a container may use."""

    cpu: Cpu | None = Field(default=None, description='Cores, such as "8" or "500m". Default: the pool decides.')
    memory: Memory | None = Field(
        default=None, description='Memory, such as "24Gi". Default: planned from the weights.'
    )
    gpu: Count | None = Field(default=None, description="Whole GPUs. Default: planned from the weights.")


class ServingSpec(Spec):
    """Wishes about serving that a model declaration may carry. A deployment's own fields win."""

    modes: tuple[ServingMode, ...] = Field(
        default=(), description="On-demand (loaded when needed), Dedicated (stays loaded). Default: either."
    )
    replicas: Count | None = Field(default=None, description="Copies; 0 is scaled down. Default: the deployment says.")
    limits: Resources | None = Field(default=None, description="The most a copy may use. Default: planned.")
    requests: Resources | None = Field(default=None, description="What a copy is promised. Default: planned.")

    @model_validator(mode="after")
    def _request_within_limit(self) -> Self:
        limits, requests = self.limits or Resources(), self.requests or Resources()
        for name in ("cpu", "memory"):
            asked, allowed = getattr(requests, name), getattr(limits, name)
            if asked and allowed and quantity(asked) > quantity(allowed):
                raise ValueError(f"asks for {name} {asked} above the limit {allowed}; lower requests.{name}")
        if None not in (requests.gpu, limits.gpu) and requests.gpu != limits.gpu:
            raise ValueError(f"asks for gpu {requests.gpu} with the limit {limits.gpu}; GPUs need request = limit")
        return self
