"""What is told of a planned deployment, whatever its target: one set of values for JSON, terminal and page. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from pulumi_plinth.fit.choice import Option
from pulumi_plinth.fit.layout import Layout, Reason
from pulumi_plinth.fit.memory import MemoryPlan
from pulumi_plinth.fit.price import ONE, Price, Range
from pulumi_plinth.fit.report import option_json
from pulumi_plinth.quantities import human_gib


@dataclass(frozen=True, slots=True)
class Outline:
    """One deployment in numbers. GPUs, nodes, disk and memory are those of one replica.

    `memory` is the bill of one GPU (of the host, for a local server), `offered_bytes` what that GPU or host has.
    `place` is where it is found: an endpoint, or the shape of its nodes. No `price`: nothing is bought, or nobody
    established what it costs; the reasons say which.
    """

    name: str
    model: str
    target: str
    place: str
    gpus: int
    nodes: int
    parallel: Layout
    memory: MemoryPlan
    offered_bytes: int
    max_model_len: int
    disk_gib: int
    startup_seconds: int
    reasons: tuple[Reason, ...]
    replicas: Range = ONE
    price: Price | None = None
    alternatives: tuple[Option, ...] = field(default=())
    pool: str | None = None
    """The pool it runs on, which is paid for as a whole."""

    def summary(self) -> str:
        """Say it in one line, as a preview does."""
        context = f"{self.max_model_len:,} tokens of context"
        cache = f"{self.memory.kv_tokens:,} in the cache" if self.memory.kv_tokens else "no cache"
        if not self.gpus:
            memory = f"{human_gib(self.memory.total)} of host memory"
            return f"{self.name}: {context}, {cache}, {memory}, ready within {self.startup_seconds} s, {self.place}"
        price = f"${self.price.per_hour[1]:.2f} an hour" if self.price else "no price established"
        if self.price and self.price.per_hour[0] != self.price.per_hour[1]:
            price = f"${self.price.per_hour[0]:.2f} to {price}"
        gpus = f"{self.gpus} GPU{'s' * (self.gpus > 1)}"
        where = f"{self.nodes} x {self.place}, {gpus}, {self.parallel}"
        return f"{self.name}: {where}, {context}, {cache}, ready within {self.startup_seconds} s, {price}"

    def to_json(self) -> dict[str, Any]:
        """Render for scripts; sizes are bytes unless the key names a unit."""
        layout = self.parallel
        sizes = {"tensor": layout.tensor, "pipeline": layout.pipeline, "data": layout.data, "expert": layout.expert}
        return {
            "name": self.name,
            "model": self.model,
            "target": self.target,
            "gpus": self.gpus,
            "nodes": self.nodes,
            "replicas": {"min": self.replicas.least, "max": self.replicas.most},
            "parallel": sizes,
            "memory": [{"part": line.part, "bytes": line.size, "formula": line.formula} for line in self.memory.lines],
            "memory_bytes": self.memory.total,
            "offered_bytes": self.offered_bytes,
            "kv_tokens": self.memory.kv_tokens,
            "kv_bytes_per_token": self.memory.kv_bytes_per_token,
            "max_model_len": self.max_model_len,
            "disk_gib": self.disk_gib,
            "startup_seconds": self.startup_seconds,
            "price": asdict(self.price) if self.price else None,
            "alternatives": [option_json(option) for option in self.alternatives],
            "reasons": [{"subject": reason.subject, "text": reason.text} for reason in self.reasons],
        }
