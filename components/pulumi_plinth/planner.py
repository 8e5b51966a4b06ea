"""StackSpec + facts -> StackPlan: every deployment decided, and what must hold for all of them together. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from pulumi_plinth import naming
from pulumi_plinth.cluster.plan import ClusterPlan, cluster_faults, plan_cluster
from pulumi_plinth.deployment.adapters import adapter_faults
from pulumi_plinth.deployment.facts import CardFacts, HostFacts, ModelFacts
from pulumi_plinth.deployment.fetching import room_faults
from pulumi_plinth.deployment.gpu_case import GpuCase
from pulumi_plinth.deployment.gpu_plan import GpuPlan, plan_gpus
from pulumi_plinth.deployment.kubernetes.case import ServerCase
from pulumi_plinth.deployment.kubernetes.declared import NOTHING, Declared, declare
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan, name_clashes, plan_server
from pulumi_plinth.deployment.kubernetes.spec import KubernetesSpec
from pulumi_plinth.deployment.outline import Outline
from pulumi_plinth.deployment.plan import DeploymentCase, DeploymentPlan, plan_deployment
from pulumi_plinth.deployment.totals import Totals, totals
from pulumi_plinth.errors import Fault, SpecError
from pulumi_plinth.fit.market import Market
from pulumi_plinth.located import located, readers
from pulumi_plinth.model.describe import described
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.oci_spec import PENDING
from pulumi_plinth.pool.case import PoolCase
from pulumi_plinth.pool.plan import PoolPlan
from pulumi_plinth.pools import bill_of, nodes_of, plan_pools, pool_cases
from pulumi_plinth.quantities import human_gib
from pulumi_plinth.stack import CONFIG_KEY, StackSpec
from pulumi_plinth.store.plan import StoreCase, StorePlan, plan_store, store_faults


@dataclass(frozen=True, slots=True)
class Facts:
    """The world a stack is planned against. `models` is keyed by the name of the model."""

    root: Path
    stack: str
    host: HostFacts
    models: Mapping[str, ModelFacts]
    templates: Mapping[str, str] = field(default_factory=dict)
    """Texts of the chat templates that models name by a file's path, by that path."""

    cards: Mapping[str, CardFacts] = field(default_factory=dict)
    """Cards of the models that are planned on GPUs, by the name of the deployment."""

    market: Market = field(default_factory=Market)
    """Shapes and prices; those the stack declares are added by the plan."""


@dataclass(frozen=True, slots=True)
class StackPlan:
    """The whole stack, decided: `deployments` run on this host, `servers` on `cluster`.

    `kubernetes` says what runs on GPUs; without a cluster that is all that is planned of it.
    """

    stores: tuple[StorePlan, ...]
    models: Mapping[str, ModelSpec]
    deployments: tuple[DeploymentPlan, ...]
    kubernetes: tuple[GpuPlan, ...] = ()
    servers: tuple[ServerPlan, ...] = ()
    cluster: KubernetesSpec | None = None
    pools: tuple[PoolPlan, ...] = ()
    oke: ClusterPlan | None = None
    """The OKE cluster that is made or named by its id."""
    declared: Declared = NOTHING

    def outlines(self) -> tuple[Outline, ...]:
        """Tell every deployment in the same terms, by name."""
        outlines = [
            *(plan.outline() for plan in self.deployments),
            *(plan.outline() for plan in self._only_planned()),
            *(server.outline for server in self.servers),
        ]
        return tuple(sorted(outlines, key=lambda outline: outline.name))

    def totals(self) -> Totals:
        """Add up what is paid for: pools that are made, and nodes of deployments that are on none."""
        made = [pool for pool in self.pools if pool.spec.kind != "existing"]
        return totals(self.outlines(), map(bill_of, made))

    def _only_planned(self) -> Iterator[GpuPlan]:
        """Yield what would run on GPUs and has no cluster to run on."""
        deployed = {server.name for server in self.servers}
        return (plan for plan in self.kubernetes if plan.name not in deployed)

    def deployable(self) -> Self:
        """Return the plan if all of it can be deployed. Raises SpecError before anything is made."""
        remedy = "add `kubernetes:` to deploy it; `plinth plan` shows what it takes"
        problem = "is planned and cannot be deployed: the stack describes no cluster"
        faults = [
            Fault(f"{CONFIG_KEY}.deployments.{plan.name}.target", "kubernetes", problem, remedy)
            for plan in self._only_planned()
        ]
        if faults:
            raise SpecError(faults)
        return self

    def to_json(self) -> dict[str, Any]:
        """Render for `plinth plan --json`: plain values, reasons included."""
        return {
            "stores": [store.to_json() for store in self.stores],
            **({"cluster": self.oke.to_json()} if self.oke else {}),
            "pools": [pool.to_json() for pool in self.pools],
            "models": [{"name": name, **_model_json(model)} for name, model in self.models.items()],
            "deployments": sorted(
                [*map(_deployment_json, self.deployments), *self._on_kubernetes()],
                key=lambda said: str(said["name"]),
            ),
            "totals": asdict(self.totals()),
        }

    def _on_kubernetes(self) -> Iterator[dict[str, Any]]:
        gpus = {plan.name: plan.to_json() for plan in self.kubernetes}
        for server in self.servers:
            yield {**gpus.pop(server.name, {}), **server.outline.to_json(), **server.to_json()}
        yield from gpus.values()


def plan_stack(spec: StackSpec, facts: Facts) -> StackPlan:
    """Decide everything. Raises SpecError with all faults of all parts."""
    faults: list[Fault] = []
    stores = tuple(_stores(spec, facts, faults))
    for name, model in facts.models.items():
        faults.extend(_weights_faults(spec, name, model))
    faults.extend(room_faults(facts.models, f"{CONFIG_KEY}.models"))
    templates = {name: _chat_template(spec, facts, name, faults) for name in spec.templated_models()}
    cases = [_case(spec, facts, name, templates) for name in sorted(spec.on("local"))]
    for name in sorted({case.spec.model for case in cases}):
        faults.extend(adapter_faults(f"{CONFIG_KEY}.models.{name}", spec.models[name], facts.models[name]))
    plans = [plan for case in cases if (plan := plan_deployment(case, faults)) is not None]
    faults.extend(_memory_faults(plans, facts.host))
    market = facts.market.with_declared(spec.shapes, f"{CONFIG_KEY}.shapes", faults)
    pools = pool_cases(spec, market, faults)
    asked = _gpu_cases(spec, facts, market, pools)
    on_gpus = [gpu_plan for gpu_case in asked if (gpu_plan := plan_gpus(gpu_case, faults)) is not None]
    planned_pools = plan_pools(pools, on_gpus, facts.cards, faults)
    at_stores = spec.model_copy(update={"models": located(spec, stores)})
    servers = tuple(_servers(at_stores, facts, {plan.name: plan for plan in on_gpus}, templates, faults))
    faults.extend(name_clashes(servers, f"{CONFIG_KEY}.deployments"))
    oke = _oke(spec, facts, faults)
    if faults:
        raise SpecError(faults)
    cards = {name: model.card for name, model in facts.models.items()}
    models = {name: described(model, cards.get(name)) for name, model in sorted(spec.models.items())}
    at_nodes = declare(
        spec.kubernetes, {name: described(model, cards.get(name)) for name, model in sorted(at_stores.models.items())}
    )
    return StackPlan(
        stores, models, tuple(plans), tuple(on_gpus), servers, spec.kubernetes, planned_pools, oke, at_nodes
    )


def _weights_faults(spec: StackSpec, name: str, model: ModelFacts) -> Iterator[Fault]:
    if model.fetch is None:
        path, value = f"{CONFIG_KEY}.models.{name}.path", spec.models[name].path
        remedy = "point it at a complete model folder, or restore the files"
    else:
        path, value = f"{CONFIG_KEY}.models.{name}.storage.uri", model.fetch.uri
        remedy = "name it as `plinth models` does, or give the model `configuration:`, a file that `plinth card` wrote"
    return (Fault(path, value, fault, remedy) for fault in model.faults)


def _chat_template(spec: StackSpec, facts: Facts, name: str, faults: list[Fault]) -> str | None:
    """Resolve and check a model's template; None is the tokenizer's own."""
    written, path = spec.models[name].chat_template, f"{CONFIG_KEY}.models.{name}.chatTemplate"
    if written is None:
        return None
    from pulumi_plinth.model.chat_template import check, resolve  # jinja2, which most stacks do not need

    try:
        found = resolve(written, path)
    except SpecError as error:
        faults.extend(error.faults)
        return None
    text = found.text if found.origin != "file" else facts.templates.get(written)
    if text is None and found.origin == "file":
        faults.append(Fault(path, written, "cannot be read", "write the path of a text file, from the project's root"))
    faults.extend(check(text, path) if text is not None else ())
    return text


def _stores(spec: StackSpec, facts: Facts, faults: list[Fault]) -> Iterator[StorePlan]:
    for name, store in sorted(spec.stores.items()):
        case = StoreCase(
            name=name,
            root=facts.root,
            models=spec.models_in(name),
            oci=spec.oci,
            prefix=f"{naming.PACKAGE}-{facts.stack}",
            namespace=spec.kubernetes.namespace if spec.kubernetes else "default",
            readers=readers(spec, name),
            cluster_id=(spec.cluster.id or PENDING) if spec.cluster else None,
        )
        if found := store_faults(f"{CONFIG_KEY}.stores.{name}", case, store):
            faults.extend(found)
        else:
            yield plan_store(case, store)


def _oke(spec: StackSpec, facts: Facts, faults: list[Fault]) -> ClusterPlan | None:
    if spec.cluster is None:
        return None
    if found := cluster_faults(f"{CONFIG_KEY}.cluster", spec.cluster, spec.oci):
        faults.extend(found)
        return None
    return plan_cluster(spec.cluster, f"{naming.PACKAGE}-{facts.stack}", spec.oci)


def _case(spec: StackSpec, facts: Facts, name: str, templates: Mapping[str, str | None]) -> DeploymentCase:
    deployment = spec.deployments[name]
    return DeploymentCase(
        path=f"{CONFIG_KEY}.deployments.{name}",
        name=name,
        spec=deployment,
        declared=spec.models[deployment.model],
        model=facts.models[deployment.model],
        host=facts.host,
        run_dir=naming.run_dir(facts.root, facts.stack, name),
        chat_template=templates[deployment.model],
        adapter_folders=tuple(facts.root / folder for folder in deployment.adapter_folders),
        compiled=naming.compiled_cache(facts.root),
    )


def _gpu_cases(spec: StackSpec, facts: Facts, market: Market, pools: Mapping[str, PoolCase]) -> list[GpuCase]:
    """Collect what is to be planned on GPUs; a pool without a shape is a fault already, so is what is meant for it."""
    return [
        GpuCase(
            path=f"{CONFIG_KEY}.deployments.{name}",
            name=name,
            spec=item,
            declared=spec.models[item.model],
            facts=facts.cards[name],
            market=market,
            pool=nodes_of(pools[item.pool]) if item.pool else None,
        )
        for name, item in sorted(spec.on("kubernetes").items())
        if item.on_gpus and (item.pool is None or item.pool in pools)
    ]


def _servers(
    spec: StackSpec,
    facts: Facts,
    gpus: Mapping[str, GpuPlan],
    templates: Mapping[str, str | None],
    faults: list[Fault],
) -> Iterator[ServerPlan]:
    """Decide what runs on the cluster, if there is one."""
    if spec.kubernetes is None:
        return
    pooled = Counter(item.pool for item in spec.on("kubernetes").values() if item.pool)
    for name, item in sorted(spec.on("kubernetes").items()):
        case = ServerCase(
            path=f"{CONFIG_KEY}.deployments.{name}",
            name=name,
            spec=item,
            declared=spec.models[item.model],
            facts=facts.cards[name],
            cluster=spec.kubernetes,
            chat_template=templates.get(item.model),
            alone=item.pool is None or pooled[item.pool] == 1,
        )
        if (plan := plan_server(case, gpus.get(name), faults)) is not None:
            yield plan


def _memory_faults(plans: list[DeploymentPlan], host: HostFacts) -> list[Fault]:
    total = sum(plan.memory.total for plan in plans)
    if total <= host.memory_bytes:
        return []
    sums = " + ".join(f"{plan.name} {human_gib(plan.memory.total)}" for plan in plans)
    problem = f"needs {sums} = {human_gib(total)}, the host has {human_gib(host.memory_bytes)}"
    largest = max(plans, key=lambda plan: plan.memory.total)
    cache = f"{CONFIG_KEY}.deployments.{largest.name}.kvCacheMemory"
    value = human_gib(largest.launch.engine.kv_cache_bytes or 0)
    return [Fault(cache, value, problem, "write a smaller kvCacheMemory or serve fewer models here")]


def _model_json(model: ModelSpec) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def _deployment_json(plan: DeploymentPlan) -> dict[str, Any]:
    return {
        **plan.outline().to_json(),
        "endpoint": plan.launch.endpoint,
        "management": plan.launch.management_url,
        "launchDigest": plan.launch.digest(),
        "launch": plan.launch.model_dump(mode="json"),
    }
