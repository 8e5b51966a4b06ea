"""The providers of one run: which resource uses which, defaults included. A plugin starts when first needed."""

from __future__ import annotations

import re
import threading

from pulumi_plinth.embedded.builtin import PACKAGE, Builtin
from pulumi_plinth.embedded.deployment import Deployment
from pulumi_plinth.embedded.errors import ProviderError, Unsupported
from pulumi_plinth.embedded.provider import DYNAMIC, Host, Provider
from pulumi_plinth.embedded.state import PROVIDER_PREFIX, Resource
from pulumi_plinth.embedded.steps import urn_of
from pulumi_plinth.embedded.values import PropertyMap, make_secret

AnyProvider = Provider | Builtin
"""Both can be configured and read; only a Provider makes."""


class Providers:
    """Providers by reference."""

    def __init__(self, deployment: Deployment, host: Host) -> None:
        self._deployment, self._host = deployment, host
        self._by_reference: dict[str, AnyProvider] = {}
        self._started: list[Provider] = []
        self._lock = threading.RLock()

    def start(self, resource: Resource) -> AnyProvider:
        """Start the plugin behind a provider resource; it is not configured yet."""
        package = resource.type.removeprefix(PROVIDER_PREFIX)
        if package == PACKAGE:
            run = self._deployment.run
            return Builtin(run.project.name, run.outputs_of)
        plugin = self._host.start(package, str(resource.inputs.get("version", "")))
        with self._lock:
            provider = Provider(plugin, self._host.engine_address, dry_run=self._deployment.run.dry_run)
            self._started.append(provider)
        return provider

    def configure(self, provider: AnyProvider, resource: Resource) -> None:
        """Configure a started provider and make it known under its reference."""
        provider.configure(resource)
        with self._lock:
            self._by_reference[resource.reference] = provider

    def get(self, resource: Resource) -> Provider:
        """Return the provider that can make a resource: of this run, or the one in the state, with its last inputs."""
        provider = self.reader(resource)
        if isinstance(provider, Builtin):
            raise Unsupported("making this type", resource.type)
        return provider

    def reader(self, resource: Resource) -> AnyProvider:
        """Return the provider that can read a resource."""
        with self._lock:
            if resource.provider not in self._by_reference:
                known = self.resource(resource.provider)
                if known is None:
                    raise ProviderError(resource.urn, f"its provider {resource.provider} is not in the state")
                self.configure(self.start(known), known)
            return self._by_reference[resource.provider]

    def resource(self, reference: str) -> Resource | None:
        """Return the provider resource behind a reference."""
        journal = self._deployment.journal
        found = (e.resource for e in (*journal.new, *journal.old) if e.resource.is_provider)
        return next((r for r in found if r.reference == reference), None)

    def default(self, package: str, version: str, url: str) -> Resource:
        """Make the goal of a package's default provider, named and configured as the Pulumi CLI does."""
        run = self._deployment.run
        name = "_".join(filter(None, ("default", re.sub(r"[^A-Za-z0-9]", "_", version))))
        inputs: PropertyMap = {}
        for key, value in run.config.values.items():
            space, _, short = key.partition(":")
            if package in (DYNAMIC, space):  # dynamic providers see the whole configuration
                marked = make_secret(value) if key in run.config.secret_keys else value
                inputs[key if package == DYNAMIC else short] = marked
        inputs |= {key: text for key, text in (("version", version), ("pluginDownloadURL", url)) if text}
        kind = PROVIDER_PREFIX + package
        return Resource(urn_of(run.stack, run.project.name, "", kind, name), custom=True, type=kind, inputs=inputs)

    def kill(self) -> None:
        """End all plugins at once, in the middle of their calls."""
        for provider in self._started:
            provider.plugin.kill()

    def close(self) -> None:
        """End all plugins."""
        while self._started:
            self._started.pop().plugin.close()
