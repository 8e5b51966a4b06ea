"""Models by name: classes that people write themselves and then build by `model_name`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from plinth_runtime.models.errors import BuildError

T = TypeVar("T", bound=type[Any])


class Registry:
    """Names, in lower case, to classes. A name is given once."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Any]] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Make a class decorator. Raises BuildError for a name that is taken."""
        key = name.strip().lower()
        if not key:
            raise BuildError("register", name, "is no name", "give the model a name such as MyModel")

        def add(model: T) -> T:
            if key in self._classes:
                taken = self._classes[key]
                where = f"{taken.__module__}.{taken.__qualname__}"
                raise BuildError("register", name, f"is taken by {where}", "give the model another name")
            self._classes[key] = model
            return model

        return add

    def get(self, name: str) -> type[Any] | None:
        """Return the class of a name in any case; None when there is none."""
        return self._classes.get(name.strip().lower())

    def name_of(self, model: type[Any]) -> str | None:
        """Return the name a class was registered by."""
        return next((name for name, known in self._classes.items() if known is model), None)

    def names(self) -> tuple[str, ...]:
        """List the names."""
        return tuple(sorted(self._classes))


MODELS = Registry()
"""The registry of this process. Decorators run while modules are imported, so there must be one to find by name."""

register = MODELS.register
