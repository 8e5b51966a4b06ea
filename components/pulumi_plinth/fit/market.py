"""What can be had: shapes by name, which of them the stack declares, storage prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pulumi_plinth.errors import Fault, nearest
from pulumi_plinth.fit.declared import ShapeSpec, declared_shape
from pulumi_plinth.fit.shapes import Shape
from pulumi_plinth.fit.storage import UnitPrices

HOME = "oci"
"""The provider whose shapes are candidates when a deployment names none."""


@dataclass(frozen=True, slots=True)
class Market:
    """Shapes and prices.

    `declared` are the names of shapes that the stack itself declares, `broken` those whose declaration lacks something.
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    storage: UnitPrices = field(default_factory=dict)
    declared: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()

    def with_declared(self, specs: Mapping[str, ShapeSpec], path: str, faults: list[Fault]) -> Market:
        """Add the shapes of a stack file."""
        made = {
            name: shape
            for name, spec in sorted(specs.items())
            if (shape := declared_shape(name, spec, self.shapes, f"{path}.{name}", faults))
        }
        broken = frozenset(specs) - frozenset(made)
        return replace(self, shapes={**self.shapes, **made}, declared=frozenset(made), broken=broken)

    def find(self, name: str, path: str, faults: list[Fault]) -> Shape | None:
        """Return the shape of that name; or add a fault, unless its declaration has one already."""
        shape = self.shapes.get(name)
        if shape is None and name not in self.broken:
            remedy = nearest(name, self.shapes) or "see `plinth shapes`, or declare it under `shapes:`"
            faults.append(Fault(path, name, "is no shape that is known", remedy))
        return shape

    def usual(self) -> tuple[Shape, ...]:
        """Return the candidates of a deployment that names none: Oracle's shapes and the stack's own."""
        return tuple(
            shape for name, shape in sorted(self.shapes.items()) if shape.provider == HOME or name in self.declared
        )
