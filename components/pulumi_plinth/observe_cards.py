"""Finds the cards of models that are planned on GPUs: files and the catalogue are read, nothing is decided.

The first that is there counts: a card file that the deployment names, the model's folder, its `configuration`, the
catalogue by preset, hub id, technical name or name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from plinth_runtime.contract.card import CardError, ModelCard, card_of_config
from pulumi_plinth.deployment.facts import CardFacts, ModelFacts
from pulumi_plinth.deployment.spec import DeploymentSpec
from pulumi_plinth.errors import nearest
from pulumi_plinth.model.catalogue import Catalogue, geometry, load_catalogue
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.quantities import parameter_count
from pulumi_plinth.stack import StackSpec
from pulumi_plinth.store.plan import folder_of

CARD_LIMIT_BYTES = 4 << 20
"""A card as printed has some kilobytes."""

FLOAT32_BYTES, HALF_BYTES = 4, 2


@dataclass(frozen=True)
class Cards:
    """Where cards are looked for. The catalogue is read once, and only if somebody asks."""

    spec: StackSpec
    root: Path
    read_folder: Callable[[Path], ModelFacts]
    read_catalogue: Callable[[], Catalogue] = load_catalogue

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue."""
        return self.read_catalogue()

    def find(self, deployment: DeploymentSpec) -> CardFacts:
        """Find the card of one deployment's model."""
        model = self.spec.models[deployment.model]
        if deployment.card:
            return self._from_file(self.root / deployment.card, "card")
        folder = self._folder(model)
        if folder is not None and folder.is_dir():
            return _from_folder(self.read_folder(folder))
        if isinstance(model.configuration, dict):
            return _from_configuration(model, model.configuration)
        if isinstance(model.configuration, str):
            return self._from_file(self.root / model.configuration, "model")
        return self._from_catalogue(deployment.model, model)

    def _folder(self, model: ModelSpec) -> Path | None:
        folder = folder_of(self.spec.stores.get(model.store or ""), self.root)
        return folder / model.path if folder and model.path else None

    def _from_file(self, path: Path, field: str) -> CardFacts:
        try:
            if path.stat().st_size > CARD_LIMIT_BYTES:
                return _missing(
                    field, f"names {path}, which is too large to be a card", "print one with `plinth card --json`"
                )
            card = ModelCard.model_validate_json(path.read_bytes())
        except OSError as error:
            return _missing(
                field, f"names {path}, which cannot be read: {error.strerror}", "write the path of a card file"
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            problem = f"names {path}, which is no card ({'.'.join(map(str, first['loc']))}: {first['msg']})"
            return _missing(field, problem, "print one with `plinth card --json`")
        return CardFacts(card, f"card file {path}")

    def _from_catalogue(self, name: str, model: ModelSpec) -> CardFacts:
        names = list(dict.fromkeys(_names(name, model)))
        for tried in names:
            entry = self.catalogue.find(tried)
            if entry is None:
                continue
            if entry.lifecycle.disabled:
                remedy = f"serve '{entry.replacement}'" if entry.replacement else "choose another, see `plinth models`"
                return _missing("model", f"is '{entry.name}', which is disabled in the catalogue", remedy)
            card = geometry(entry)
            if card is None:
                problem = f"is '{entry.name}' of the catalogue, which knows no geometry of it"
                return _missing("model", problem, "write `card:` with a card file, or the model's `configuration`")
            entry, warnings = self.catalogue.resolve(entry.name, "model")
            origin = f"catalogue row '{entry.name}' by '{tried}', checked {entry.checked}"
            source = entry.storage_uri or (f"hf://{entry.hub_id}" if entry.hub_id else None)
            return CardFacts(card, origin, warnings, source=source, gated=entry.gated and not entry.storage_uri)
        problem = (
            f"has no folder on this host and no `configuration`, and the catalogue knows neither of {', '.join(names)}"
        )
        hint = next((found for tried in names if (found := nearest(tried, self.catalogue.rows))), "")
        return _missing("model", problem, f"write `card:` with a card file{', or ' + hint if hint else ''}")


def _names(name: str, model: ModelSpec) -> Iterator[str]:
    """Yield the names a model may have in the catalogue, the most deliberate first."""
    if model.preset:
        yield model.preset.name
    source = model.storage.source if model.storage else None
    if source is not None and source.scheme == "hf" and (hub := source.get("model")):
        yield hub
    if model.technical_name:
        yield model.technical_name
    yield name


def _from_folder(facts: ModelFacts) -> CardFacts:
    if facts.card is None:
        return _missing("model", f"lies in {facts.folder}, where {'; '.join(facts.faults)}", "restore the files")
    return CardFacts(facts.card, f"model folder {facts.folder}")


def _from_configuration(model: ModelSpec, config: dict[str, Any]) -> CardFacts:
    if model.parameter_size is None:
        problem = "has a `configuration` that does not say how many weights there are"
        return _missing("model", problem, "add `parameterSize:` to the model, such as 8.03B")
    parameters = parameter_count(model.parameter_size)
    try:
        card = card_of_config(json.loads(json.dumps(config)), parameters, 0, None)
    except (CardError, TypeError, ValueError) as error:
        problem = f"has a `configuration` that is no model's: {error}"
        return _missing("model", problem, "write the model's config.json there")
    size = round(parameters * _width(card))
    return CardFacts(card.model_copy(update={"weight_bytes": size}), "the model's `configuration` and `parameterSize`")


def _width(card: ModelCard) -> float:
    """Bytes of one weight, as the configuration says."""
    if card.quantization and card.quantization.bits:
        return card.quantization.bits / 8
    return FLOAT32_BYTES if card.dtype == "float32" else HALF_BYTES


def _missing(field: str, problem: str, remedy: str) -> CardFacts:
    return CardFacts(None, fault=(field, problem, remedy))
