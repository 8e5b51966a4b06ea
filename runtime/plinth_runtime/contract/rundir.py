"""The names in a server's run directory: one place, because both sides read and write there. Paths only, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunDir:
    """One server's folder on this host. Exactly one agent holds its lock; it is removed when the server is deleted."""

    path: Path

    @property
    def launch(self) -> Path:
        """The LaunchConfig that the agent was started with."""
        return self.path / "launch.json"

    @property
    def lock(self) -> Path:
        """Held with flock(2) as long as an agent lives; holds its process id as text."""
        return self.path / "lock"

    @property
    def engine_lock(self) -> Path:
        """Held with flock(2) by the engine's guard: a killed agent's engine may outlive it by seconds."""
        return self.path / "engine.lock"

    @property
    def agent_hash(self) -> Path:
        """sha256 of the token by which the gate in the engine knows the agent; another one at each start."""
        return self.path / "agent.hash"

    @property
    def sockets(self) -> Path:
        """The engine's processes speak to each other here; emptied before each engine, removed when the agent ends."""
        return self.path / "ipc"

    @property
    def draining(self) -> Path:
        """Exists from the moment the server is asked to end: the gate in the engine refuses new requests."""
        return self.path / "draining"

    @property
    def start(self) -> Path:
        """Exists from the moment that an engine, started before its weights were there, may load them."""
        return self.path / "start"

    @property
    def status(self) -> Path:
        """The last StartupStatus, written at each change of phase."""
        return self.path / "status.json"

    @property
    def last_start(self) -> Path:
        """The StartRecord of the last start that became ready."""
        return self.path / "last-start.json"

    @property
    def termination(self) -> Path:
        """The Termination of the last agent that failed."""
        return self.path / "termination.json"

    @property
    def log(self) -> Path:
        """What the agent and its engine said."""
        return self.path / "server.log"

    @property
    def chat_template(self) -> Path:
        """The launch's chat template as a file, which is how the engine takes it."""
        return self.path / "chat-template.jinja"

    @property
    def model(self) -> Path:
        """Link to the weights, where the server fetches them: as long as it is there, a cache keeps them."""
        return self.path / "model"

    @property
    def keys(self) -> Path:
        """sha256 hashes of the accepted API keys, one hex digest a line, mode 0600."""
        return self.path / "keys"
