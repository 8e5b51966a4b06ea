"""`plinth fit` and `plinth shapes`: does a model fit, on what, at what price. Nothing is started.

Finding the model and laying out lines happens here; what fits is decided in `fit`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pulumi_plinth.cli_models import json_option, read_folder
from pulumi_plinth.errors import PlinthError
from pulumi_plinth.throughput import Throughput

if TYPE_CHECKING:
    from plinth_runtime.contract.card import ModelCard
    from pulumi_plinth.fit.choice import Limits, Option
    from pulumi_plinth.fit.parallel import Nodes
    from pulumi_plinth.fit.plan import Fitted, Refused, Wish
    from pulumi_plinth.fit.report import Bill, Told
    from pulumi_plinth.fit.shapes import Shape
    from pulumi_plinth.fit.sizing import Sizer

DOES_NOT_FIT = 3
CARD_LIMIT_BYTES = 4 << 20
"""A card as printed has some kilobytes."""

CLOUDS = ("oci", "aws", "azure", "gcp")
HEADINGS: tuple[str, ...] = (
    "SHAPE", "PROVIDER", "GPUS", "GIB EACH", "NVME GB", "RAM GB", "GBIT/S", "RDMA", "$/GPU-H", "AS OF",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subject:
    """The model asked about; `file_bytes` is the sum of its weight files where they are known."""

    card: ModelCard
    file_bytes: int | None = None


@click.command()
@click.argument("model")
@click.option("--shape", "shape_name", help="A shape of `plinth shapes`.")
@click.option("--gpus-per-node", type=click.IntRange(1, 72), help="Instead of a shape: GPUs of each node.")
@click.option("--gpu-memory-gib", type=click.FloatRange(1, 4096), help="Instead of a shape: memory of each GPU.")
@click.option(
    "--cluster", type=click.File(), help="Instead of a shape: nodes, from `kubectl get nodes -o json`; - is stdin."
)
@click.option("--nodes", type=click.IntRange(1, 512), help="Nodes there are. Default: as many as it takes.")
@click.option("--context", type=click.IntRange(1), help="Tokens of a request. Default: what the model was made for.")
@click.option("--tensor", type=click.IntRange(1), help="Tensor-parallel size, checked. Default: chosen.")
@click.option("--pipeline", type=click.IntRange(1), help="Pipeline stages, checked. Default: chosen.")
@click.option("--expert", type=click.IntRange(1), help="Expert-parallel size, checked. Default: chosen.")
@click.option("--kv-cache-dtype", help="As the engine's flag, such as fp8. Default: what the checkpoint asks for.")
@click.option(
    "--adapters", type=click.IntRange(0, 1000), default=0, help="LoRA adapters on the GPU at once. Default: 0."
)
@click.option("--adapter-rank", type=click.IntRange(1, 512), default=16, show_default=True, help="Their highest rank.")
@click.option("--min-replicas", type=click.IntRange(0), default=1, show_default=True, help="For the price.")
@click.option("--max-replicas", type=click.IntRange(1), help="For the price. Default: the fewest.")
@click.option(
    "--tokens-per-second", type=Throughput(), help="Of one replica, as you measured it, or a bench report's file."
)
@click.option("--budget", type=click.FloatRange(0, min_open=True), help="Most dollars an hour at the most replicas.")
@click.option("--allow", multiple=True, metavar="SHAPE", help="A shape that may be chosen; may be repeated.")
@click.option("--mig", is_flag=True, help="The memory is that of a MIG slice.")
@click.option(
    "--estimator", type=click.Choice(["plinth", "kaito"]), default="plinth", show_default=True, help="Whose arithmetic."
)
@json_option
@click.pass_context
def fit(ctx: click.Context, /, as_json: bool, **options: Any) -> None:
    """Say whether MODEL fits, with every part of the arithmetic. Exit code 3: it does not.

    MODEL is a name of `plinth models`, a model folder or a file that `plinth card --json` printed. Without --shape and
    GPUs of your own, --budget or --allow choose the cheapest shape that fits.

    \b
    Examples:
      plinth fit llama-3.3-70b-instruct --shape BM.GPU.H100.8
      plinth fit ./model --gpus-per-node 4 --gpu-memory-gib 24 --context 32768
      plinth fit phi-4 --budget 10 --allow VM.GPU.A10.1 --allow VM.GPU.A10.2
      plinth fit phi-4 --shape BM.GPU.A10.4 --estimator kaito --json
      kubectl get nodes -o json | plinth fit phi-4 --cluster -
    """
    subject = _plannable(find_model(options["model"]), options["model"])
    answer = _kaito if options["estimator"] == "kaito" else _plinth
    fits, said, lines = answer(subject, _nodes(subject, options), options)
    click.echo(json.dumps(said, indent=2) if as_json else "\n".join(lines))
    if not fits:
        if not as_json:
            click.echo("it does not fit", err=True)
        ctx.exit(DOES_NOT_FIT)


@click.command()
@click.option("--provider", help="Only shapes of this provider: oci, aws, azure, gcp, any.")
@click.option("--gpu", help="Only shapes with this GPU, such as H100.")
@json_option
def shapes(provider: str | None, gpu: str | None, as_json: bool) -> None:
    """List the shapes of nodes that are known, with prices and where they are from. "-": not established.

    \b
    Examples:
      plinth shapes --provider oci
      plinth shapes --gpu h100 --json | jq '.shapes[].name'
    """
    from pulumi_plinth.fit.shapes import load_shapes, select

    found = list(select(load_shapes().values(), provider, gpu))
    if as_json:
        click.echo(json.dumps({"shapes": [_shape_json(shape) for shape in found]}, indent=2))
        return
    rows = [HEADINGS, *map(_shape_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def find_model(name: str) -> Subject:
    """Find a model by folder, card file or name of the catalogue. Raises PlinthError saying what there is instead."""
    from pulumi_plinth.errors import nearest
    from pulumi_plinth.model.catalogue import geometry, load_catalogue

    path = Path(name)
    if path.is_dir():
        return Subject(read_folder(name), _weight_file_bytes(path))
    if path.is_file():
        return Subject(_card_of(path))
    catalogue = load_catalogue()
    entry = catalogue.find(name)
    if entry is None:
        hint = nearest(name, catalogue.rows) or "see `plinth models`"
        raise PlinthError(f"'{name}' is no folder, no card and not in the catalogue; {hint}")
    card = geometry(entry)
    if card is None:
        raise PlinthError(f"the catalogue knows no geometry of '{entry.name}'; give a model folder or a card")
    return Subject(card)


def _plannable(subject: Subject, name: str) -> Subject:
    """Refuse what is no language model: its memory follows other rules."""
    from pulumi_plinth.fit.subject import unplannable

    if said := unplannable(subject.card):
        raise PlinthError(f"'{name}' {said[0]}; {said[1]}")
    return subject


def _card_of(path: Path) -> ModelCard:
    from pydantic import ValidationError

    from plinth_runtime.contract.card import ModelCard

    if path.stat().st_size > CARD_LIMIT_BYTES:
        raise PlinthError(f"'{path}' is too large to be a card; give the model's folder instead")
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PlinthError(
            f"'{path}' is no card ({where}: {first['msg']}); print one with `plinth card --json`"
        ) from None


def _weight_file_bytes(folder: Path) -> int | None:
    for pattern in ("*.safetensors", "*.bin"):
        sizes = [path.stat().st_size for path in folder.rglob(pattern) if path.is_file()]
        if sizes:
            return sum(sizes)
    return None


def _nodes(subject: Subject, options: dict[str, Any]) -> Nodes:
    """Take the nodes that are named or stated; else the cheapest shape, or the first candidate where none fits."""
    from pulumi_plinth.fit.parallel import Nodes
    from pulumi_plinth.fit.shapes import plain_shape

    name, gpus, memory = options["shape_name"], options["gpus_per_node"], options["gpu_memory_gib"]
    if options["cluster"] is not None:
        if name or gpus or memory:
            raise click.UsageError("--cluster says which nodes there are; leave out --shape and stated GPUs")
        return _of_cluster(subject, options)
    choose = bool(options["budget"] or options["allow"]) and name is None and memory is None
    if (not choose and (name is None) == (memory is None)) or (memory is None and gpus is not None):
        raise click.UsageError(
            "say either --shape, or --gpu-memory-gib (and --gpus-per-node), or --budget or --allow, or --cluster"
        )
    if memory is not None:
        shape = plain_shape(gpus or 1, memory)
    elif name is not None:
        shape = _known_shape(name)
    else:
        from pulumi_plinth.fit.choice import rank

        candidates = [_known_shape(allowed) for allowed in options["allow"]] or _provided("oci")
        shape = rank(_sizer(subject, options), candidates, _wish(options), _limits(options))[0].shape
    return Nodes(shape, options["nodes"], options["mig"])


def _of_cluster(subject: Subject, options: dict[str, Any]) -> Nodes:
    from pulumi_plinth.fit.cluster import best_nodes, cluster_nodes

    source = options["cluster"]
    try:
        groups = cluster_nodes(json.load(source))
    except ValueError:
        raise PlinthError(f"'{source.name}' is not JSON; make it with `kubectl get nodes -o json`") from None
    if not groups:
        problem = "has no ready node whose labels tell its GPUs; run GPU Feature Discovery, or state them"
        raise PlinthError(f"'{source.name}' {problem} with --gpus-per-node and --gpu-memory-gib")
    found = best_nodes(_sizer(subject, options), groups, _wish(options))
    return replace(found, count=min(options["nodes"] or found.most, found.most))


def _known_shape(name: str) -> Shape:
    from pulumi_plinth.fit.shapes import load_shapes, suggestion

    known = load_shapes()
    if name not in known:
        raise PlinthError(f"shape '{name}' is not known; {suggestion(name, known)}")
    return known[name]


def _provided(provider: str) -> list[Shape]:
    from pulumi_plinth.fit.shapes import load_shapes, select

    return list(select(load_shapes().values(), provider, None))


Answer = tuple[bool, dict[str, Any], list[str]]


def _plinth(subject: Subject, nodes: Nodes, options: dict[str, Any]) -> Answer:
    from pulumi_plinth.fit.choice import weigh
    from pulumi_plinth.fit.plan import Fitted, Refused, Wish
    from pulumi_plinth.fit.plan import fit as decide
    from pulumi_plinth.fit.report import as_json, option_json, tell

    sizer, wish, limits = _sizer(subject, options), _wish(options), _limits(options)
    outcome = decide(sizer, nodes, wish)
    if isinstance(outcome, Refused):
        alternatives = _ranked(sizer, nodes, Wish(options["context"]), limits)
        said = _refusal_json(nodes, outcome) | {"alternatives": [option_json(option) for option in alternatives]}
        return False, said, [str(misfit) for misfit in outcome.misfits]
    alternatives = _ranked(sizer, nodes, Wish(outcome.max_model_len), limits)
    bill = _bill(sizer, nodes, outcome, limits)
    told = replace(tell(sizer, nodes, wish, outcome, bill), alternatives=tuple(alternatives))
    taken = weigh(sizer, nodes.shape, wish, replace(limits, nodes=nodes.count))
    if isinstance(taken.outcome, Fitted) and not taken.fits:
        return False, as_json(told) | {"fits": False, "error": taken.reason}, [*_lines(told), "", taken.reason]
    return True, as_json(told), list(_lines(told))


def _sizer(subject: Subject, options: dict[str, Any]) -> Sizer:
    from pulumi_plinth.fit.overhead import Adapters
    from pulumi_plinth.fit.sizing import Sizer

    return Sizer(subject.card, Adapters(options["adapters"], options["adapter_rank"]), options["kv_cache_dtype"])


def _wish(options: dict[str, Any]) -> Wish:
    from pulumi_plinth.fit.parallel import Asked
    from pulumi_plinth.fit.plan import Wish

    return Wish(options["context"], Asked(options["tensor"], options["pipeline"], None, options["expert"]))


def _limits(options: dict[str, Any]) -> Limits:
    from pulumi_plinth.fit.choice import Limits
    from pulumi_plinth.fit.price import Range, Terms

    least = options["min_replicas"]
    replicas = Range(least, max(options["max_replicas"] or least, least))
    rate = options["tokens_per_second"]
    terms = Terms(replicas, tokens_per_second=rate.value, tokens_source=rate.source) if rate else Terms(replicas)
    allowed = frozenset(options["allow"])
    return Limits(options["budget"], allowed=allowed, terms=terms)


def _bill(sizer: Sizer, nodes: Nodes, fitted: Fitted, limits: Limits) -> Bill:
    from pulumi_plinth.fit.report import Bill
    from pulumi_plinth.fit.storage import Kept, load_unit_prices, storage_cost

    kept = Kept(sizer.card.weight_bytes)
    return Bill(limits.terms, storage_cost(nodes.shape, fitted.nodes, kept, load_unit_prices()))


def _ranked(sizer: Sizer, nodes: Nodes, wish: Wish, limits: Limits) -> list[Option]:
    """Rank the other allowed shapes for the same context, else the provider's; where it has no prices, Oracle's."""
    from pulumi_plinth.fit.choice import rank

    named = [_known_shape(name) for name in sorted(limits.allowed)]
    options = rank(
        sizer, named or _provided(nodes.shape.provider if nodes.shape.provider in CLOUDS else "oci"), wish, limits
    )
    return [option for option in options if option.shape.name != nodes.shape.name]


def _refusal_json(nodes: Nodes, refused: Refused) -> dict[str, Any]:
    return {
        "fits": False,
        "estimator": "plinth",
        "shape": nodes.shape.name,
        "needed_gib": round(refused.needed_gib, 2) or None,
        "available_gib": round(refused.available_gib, 2) or None,
        "faults": [asdict(misfit) for misfit in refused.misfits],
    }


def _kaito(subject: Subject, nodes: Nodes, options: dict[str, Any]) -> Answer:
    from pulumi_plinth.fit.kaito import KaitoNodes, KaitoRefusalError, estimate, kaito_model
    from pulumi_plinth.fit.report import kaito_json

    model = kaito_model(subject.card, subject.file_bytes)
    try:
        plan = estimate(
            model, KaitoNodes(nodes.shape.gpus, nodes.shape.documented_bytes, nodes.mig), options["context"]
        )
    except KaitoRefusalError as error:
        needed, available = round(error.needed_gib, 2), round(error.available_gib, 2)
        said = {"fits": False, "estimator": "kaito", "needed_gib": needed, "available_gib": available}
        return False, said | {"error": str(error)}, [str(error)]
    said = {"fits": True, **kaito_json(plan)}
    lines = [
        f"{plan.nodes} nodes, at least {plan.min_gpus} GPUs: TP{plan.tensor} x PP{plan.pipeline} x DP{plan.data}",
        f"disk {plan.disk_gib} GiB, startup budget {plan.startup_seconds} s",
    ]
    return True, said, lines


def _lines(told: Told) -> Iterator[str]:
    from pulumi_plinth.quantities import human_gib

    for line in told.memory.lines:
        yield f"{line.part:<34} {human_gib(line.size):>11}  {line.formula}"
    yield f"{'each GPU':<34} {human_gib(told.memory.total):>11}"
    yield ""
    for reason in told.reasons:
        yield f"{reason.subject:<12} {reason.text}"
    fitting = [option for option in told.alternatives if option.fits]
    lost = len(told.alternatives) - len(fitting)
    yield ""
    for option in fitting[:5]:
        price = "-" if option.usd_per_hour is None else f"${option.usd_per_hour:.2f}/h"
        yield f"or {option.shape.name:<22} {price:>10}  {option.reason}"
    yield f"{len(fitting)} other shapes fit, {lost} do not; --json has all of them with reasons"


def _shape_json(shape: Shape) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(shape).items()}


def _shape_row(shape: Shape) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:g}"

    rdma = {True: "yes", False: "no", None: "-"}[shape.rdma]
    price = "-" if shape.usd_per_gpu_hour is None else f"{shape.usd_per_gpu_hour:.2f}"
    return (
        shape.name,
        shape.provider,
        f"{shape.gpus} {shape.gpu}",
        f"{shape.gpu_memory_gib:g}",
        number(shape.nvme_gb),
        number(shape.ram_gb),
        number(shape.network_gbps),
        rdma,
        price,
        shape.price_date or "-",
    )
