"""The subject of a check: one server that somebody intends to run, as far as it is known. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field

from pulumi_plinth.check.place import Place
from pulumi_plinth.check.serving import Serving


@dataclass(frozen=True, slots=True)
class Subject:
    """What is served and how (`serving`), and the pod, nodes, pool and storage it is meant for (`place`)."""

    serving: Serving = field(default_factory=Serving)
    place: Place = field(default_factory=Place)
