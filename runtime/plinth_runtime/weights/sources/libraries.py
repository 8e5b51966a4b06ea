"""Libraries of the stores: optional, imported when a scheme needs them. A missing one says what to install.

They import more than a fetch uses, and memory is what a node has little of: what is listed here is spared.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import MappingProxyType, ModuleType

from plinth_runtime.errors import SourceRefusedError


def library(name: str, extra: str) -> ModuleType:
    """Import a module of an optional dependency. Raises SourceRefusedError with the extra that brings it."""
    try:
        with _sparing(SPARED.get(extra, Spared())) if name not in sys.modules else nullcontext():
            return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise SourceRefusedError(
            f"the Python package {error.name.partition('.')[0]} is not installed here",
            hint=f"Install it with: pip install 'plinth-runtime[{extra}]'",
        ) from None


@dataclass(frozen=True, slots=True)
class Spared:
    """Modules that a library imports and a fetch does not need.

    `absent`: the library itself does without them, so it is told that they are not installed. `postponed`: they are
    loaded when somebody first looks into them.
    """

    absent: frozenset[str] = frozenset()
    postponed: frozenset[str] = frozenset()


SPARED: Mapping[str, Spared] = MappingProxyType(
    {
        # Keys on smart cards; a second guesser of character sets; the pages of two services.
        "oci": Spared(frozenset({"pkcs11", "charset_normalizer"}), frozenset({"oci.pagination"})),
        # An old way to speak TLS, tried before Python's own.
        "s3": Spared(frozenset({"urllib3.contrib.pyopenssl"})),
    }
)
"""By extra: 10 MB of oci, 9 MB of botocore."""


@dataclass(slots=True)
class _Finder:
    """Finds modules before Python does, for one thread: others may want what is spared here."""

    spared: Spared
    thread: int = field(default_factory=threading.get_ident)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Say where a module is; None leaves it to Python."""
        if threading.get_ident() != self.thread:
            return None
        if name in self.spared.absent:
            raise ModuleNotFoundError(f"{name} is not needed here", name=name)
        if name not in self.spared.postponed:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def _sparing(spared: Spared) -> Iterator[None]:
    finder = _Finder(spared)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
