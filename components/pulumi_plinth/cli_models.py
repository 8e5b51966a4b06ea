"""`plinth card` and `plinth models`: what a model is, from its folder or from the catalogue. Nothing is started.

Reading a folder and laying out lines happens here; what a card or a row means does not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pulumi_plinth.errors import PlinthError

if TYPE_CHECKING:
    from plinth_runtime.contract.card import ModelCard
    from pulumi_plinth.model.catalogue import CatalogueEntry

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


@click.command()
@click.argument("where", metavar="DIR")
@json_option
def card(where: str, as_json: bool) -> None:
    """Print what a model folder holds: shape, context, parameters, quantization. Reads headers only, no weights.

    \b
    Examples:
      plinth card models/smollm2-135m
      plinth card models/smollm2-135m --json | jq .maxContext
    """
    found = read_folder(where)
    if as_json:
        click.echo(json.dumps(found.model_dump(mode="json"), indent=2))
    else:
        click.echo("\n".join(f"{name:<16} {value}" for name, value in _card_lines(found)))


@click.command()
@click.option("--capability", help="Only models that can do this, such as IMAGE_TEXT_TO_TEXT or CHAT.")
@click.option("--kind", type=click.Choice(["generate", "embed", "rerank"]), help="Only models served this way.")
@click.option(
    "--catalogue",
    "folders",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="A folder of YAML rows that extend or override the catalogue; may be repeated.",
)
@click.option("--fits", "shape", help="Only models that fit on one machine of this shape of `plinth shapes`.")
@json_option
def models(
    capability: str | None, kind: str | None, folders: tuple[Path, ...], shape: str | None, as_json: bool
) -> None:
    """List the models that are known by name.

    \b
    Examples:
      plinth models --kind embed
      plinth models --fits VM.GPU.A10.1
      plinth models --capability IMAGE_TEXT_TO_TEXT --json | jq '.models[].name'
    """
    from pulumi_plinth.model.catalogue import Filter, load_catalogue

    wanted = Filter(_capability(capability), kind, _fits_on(shape))
    entries = list(load_catalogue(*folders).entries(wanted))
    if as_json:
        click.echo(json.dumps({"models": [_entry_json(entry) for entry in entries]}, indent=2))
        return
    rows = [("NAME", "KIND", "PARAMETERS", "CONTEXT", "WEIGHTS", "LICENSE", "STATE"), *map(_entry_row, entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def read_folder(where: str) -> ModelCard:
    """Read the card of a folder on this host. Raises PlinthError with every reason why it is no model."""
    from plinth_runtime.contract.card import CardError, read_card

    if "://" in where:
        raise PlinthError(f"'{where}' is no folder; fetch the model first and give its folder (`plinth card DIR`)")
    folder = Path(where)
    if not folder.is_dir():
        raise PlinthError(f"there is no folder '{where}'; models known by name are listed by `plinth models`")
    try:
        found = [path for path in folder.rglob("*") if path.is_file()]
        files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}
        return read_card(files, lambda path, offset, length: _read(folder / path, offset, length))
    except CardError as error:
        lines = "".join(f"\n  - {fault}" for fault in error.faults)
        raise PlinthError(f"'{where}' is no model that can be served:{lines}") from None
    except OSError as error:
        raise PlinthError(f"'{where}' cannot be read: {error}") from None


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb", buffering=0) as stream:
        return os.pread(stream.fileno(), length, offset)


def _fits_on(name: str | None) -> Callable[[CatalogueEntry], bool]:
    """Return the judge of what fits on one machine of a shape; without geometry nothing is known to fit."""
    if name is None:
        return lambda _: True
    from pulumi_plinth.fit.parallel import Nodes
    from pulumi_plinth.fit.plan import Fitted, Wish, fit
    from pulumi_plinth.fit.shapes import load_shapes, suggestion
    from pulumi_plinth.fit.sizing import Sizer
    from pulumi_plinth.model.catalogue import geometry

    shapes = load_shapes()
    if name not in shapes:
        raise click.BadParameter(f"'{name}' is no shape; {suggestion(name, shapes)}", param_hint="--fits")
    machine = Nodes(shapes[name], 1)

    def judge(entry: CatalogueEntry) -> bool:
        card = geometry(entry)
        return card is not None and isinstance(fit(Sizer(card), machine, Wish()), Fitted)

    return judge


def _capability(name: str | None) -> str | None:
    from pulumi_plinth.errors import nearest
    from pulumi_plinth.model.capabilities import CAPABILITIES

    if name is None:
        return None
    spelled = name.strip().upper().replace("-", "_")
    if spelled not in CAPABILITIES:
        hint = nearest(spelled, CAPABILITIES) or f"known are {', '.join(CAPABILITIES)}"
        raise click.BadParameter(f"'{name}' is no capability; {hint}", param_hint="--capability")
    return spelled


def _card_lines(found: ModelCard) -> Iterator[tuple[str, str]]:
    from pulumi_plinth.quantities import human_bytes

    yield "architecture", f"{found.architecture} ({found.model_type})"
    yield "kind", f"{found.kind}: {', '.join(found.capabilities) or 'no capability named'}"
    stored = ", ".join(f"{count:,} {dtype}" for dtype, count in found.parameters_by_dtype.items())
    yield "parameters", f"{found.parameters:,} ({stored})" if stored else f"{found.parameters:,}"
    yield "weights", f"{found.weight_bytes:,} bytes ({human_bytes(found.weight_bytes)}) in {found.shards} files"
    yield "dtype", found.dtype
    if found.layers:
        yield "shape", f"{found.layers} layers, hidden size {found.hidden_size}, vocabulary {found.vocabulary}"
        yield "heads", f"{found.attention_heads}, {found.kv_heads} for keys and values, {found.head_dim} wide"
        yield "context", f"{found.max_context or 'no bound known'} tokens ({found.context_source})"
    for group in found.attention:
        window = f", window {group.window}" if group.window else ""
        yield f"  {group.kind}", f"{group.layers} layers{window}"
    for name in ("quantization", "experts", "embedding", "adapter", "mla", "diffusion"):
        part = getattr(found, name)
        if part is not None:
            said = part.model_dump(mode="json", exclude_none=True)
            yield name, ", ".join(f"{key} {value}" for key, value in said.items())
    yield "license", found.license or "not said"


def _entry_json(entry: CatalogueEntry) -> dict[str, Any]:
    from pulumi_plinth.model.catalogue import geometry, weights_fault

    found, fault = geometry(entry), weights_fault(entry, "storage.uri")
    said = entry.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"config"})
    said["capabilities"] = list(entry.all_capabilities())
    return {
        **said, "publicWeights": fault is None, **({"advice": fault.remedy} if fault else {}),
        "card": found.model_dump(mode="json") if found else None,
    }  # fmt: skip


def _entry_row(entry: CatalogueEntry) -> tuple[str, ...]:
    from pulumi_plinth.model.catalogue import geometry
    from pulumi_plinth.quantities import human_bytes

    found = geometry(entry)
    limit = found.max_context if found else entry.embedding.max_tokens if entry.embedding else None
    life = entry.lifecycle
    state = "disabled" if life.disabled else life.phase.lower()
    return (
        entry.name,
        entry.kind,
        f"{entry.parameters / 1e9:.3g} B" if entry.parameters else "-",
        str(limit or "-"),
        human_bytes(entry.weight_bytes) if entry.weight_bytes else "-" if entry.has_public_weights else "not public",
        entry.license or "-",
        f"{state} since {life.deprecation_time}" if life.deprecation_time else state,
    )
