"""Models that people write themselves: the base class, how they are kept in a folder, and how they are built by name.

The one module here that imports torch while it is imported, since BaseModel is a torch module; nothing that must work
without torch may import it at its top.
"""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_model, save_model
from torch import nn

from plinth_runtime.models.errors import BuildError
from plinth_runtime.models.folders import read_json
from plinth_runtime.models.model_params import ModelParams
from plinth_runtime.models.peft_params import PeftParams
from plinth_runtime.models.registry import MODELS

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class BaseModel(nn.Module, ABC):  # type: ignore[misc]  # torch has no types outside the engine environment
    """Parent of custom models. A model is its constructor's arguments, which are JSON values, and its weights.

    Both `def __init__(self, config)` and `def __init__(self, width, depth)` can be saved: what the constructor was
    called with is what is kept.
    """

    init_kwargs: Mapping[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments by name; copying and unpickling come here with none."""
        made: Self = super().__new__(cls)
        named = inspect.signature(cls.__init__).bind_partial(made, *args, **kwargs)
        # torch's own __setattr__ works only after its __init__.
        object.__setattr__(made, "init_kwargs", _flat(named))
        return made

    def __init__(self, config: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().__init__()
        self.config = {**(config or {}), **settings}

    @abstractmethod
    def forward(self, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Compute outputs by name, with `loss` among them where targets are given."""

    @property
    @abstractmethod
    def criterion(self) -> Callable[..., Any]:
        """The loss function that trains this model."""

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write config.json and model.safetensors. Raises BuildError when the arguments are no JSON values."""
        kind = MODELS.name_of(type(self)) or type(self).__name__
        try:
            text = json.dumps({"model_type": kind, "init_kwargs": dict(self.init_kwargs)}, indent=2, allow_nan=False)
        except (TypeError, ValueError) as error:
            remedy = "build the model from numbers, texts, lists and dictionaries"
            raise BuildError("init_kwargs", self.init_kwargs, f"cannot be kept: {error}", remedy) from error
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self, str(folder / WEIGHTS))
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(
        cls,
        load_directory: str | Path,
        *,
        map_location: str = "cpu",
        override_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make the model that was saved; every tensor must be there, and no other. Raises BuildError."""
        folder = Path(load_directory)
        model: Self = cls(**{**_saved_arguments(folder, cls), **(override_kwargs or {})}).to(map_location)
        try:
            load_model(model, str(folder / WEIGHTS), strict=True, device=map_location)
        except (RuntimeError, OSError) as error:
            remedy = "load the folder with the class and the arguments it was saved with"
            raise BuildError("model_name", str(folder), f"has other weights: {error}", remedy) from error
        return model


def _flat(named: inspect.BoundArguments) -> dict[str, Any]:
    """Name every argument; the ones caught by ** are named already."""
    flat: dict[str, Any] = {}
    parameters = list(named.signature.parameters.values())[1:]
    for parameter in parameters:
        if parameter.name in named.arguments:
            value = named.arguments[parameter.name]
            flat.update(value if parameter.kind is parameter.VAR_KEYWORD else {parameter.name: value})
    return flat


def _saved_arguments(folder: Path, model: type[BaseModel]) -> dict[str, Any]:
    saved = read_json(folder / CONFIG, "model_name")
    kind, own = saved.get("model_type"), {model.__name__, MODELS.name_of(model)}
    if kind not in own:
        remedy = f"load it with the class that was registered as {kind}"
        raise BuildError("model_type", kind, f"{folder} does not hold a {model.__name__}", remedy)
    arguments = saved.get("init_kwargs", {})
    if not isinstance(arguments, dict):
        raise BuildError("init_kwargs", arguments, f"is no object in {folder / CONFIG}", "save the model again")
    return arguments


def find_custom(params: ModelParams) -> type[Any] | None:
    """Find the class of a registered name, or of a folder that one of ours was saved to."""
    named = MODELS.get(params.model_name)
    config = Path(params.model_name) / CONFIG
    if named is not None or not config.is_file():
        return named
    saved = read_json(config, "model_name")
    # Both keys: a model of transformers has a model_type too, and it may be called like one of ours.
    if "init_kwargs" not in saved:
        return None
    kind = str(saved.get("model_type"))
    found = MODELS.get(kind)
    if found is None:
        known = ", ".join(MODELS.names()) or "none yet"
        remedy = f"import the module with @register({kind!r}) first; registered are: {known}"
        raise BuildError("model_name", params.model_name, f"holds a {kind}, which is not registered", remedy)
    return found


def build_custom(model: type[Any], params: ModelParams, quantisation: PeftParams | None) -> Any:
    """Build a custom model: from its folder, or new from model_kwargs."""
    for field, value in (("q_lora", quantisation), ("adapter_model", params.adapter_model)):
        if value is not None:
            raise BuildError(field, value, "does not work on custom models", "leave it out")
    folder = Path(params.model_name)
    saved = MODELS.get(params.model_name) is None
    if params.load_pretrained_weights and not saved:
        remedy = "set load_pretrained_weights to False, or write the folder it was saved to"
        raise BuildError("model_name", params.model_name, "is a registered model and has no weights", remedy)
    if params.load_pretrained_weights:
        made = model.from_pretrained(folder, override_kwargs=params.model_kwargs)
    else:
        made = _new(model, {**(_saved_arguments(folder, model) if saved else {}), **params.model_kwargs})
    return made if params.torch_dtype is None else made.to(dtype=params.torch_dtype)


def _new(model: type[Any], arguments: Mapping[str, Any]) -> Any:
    try:
        inspect.signature(model).bind(**arguments)
    except TypeError as error:
        remedy = f"give the arguments of {model.__name__}{inspect.signature(model)}"
        raise BuildError("model_kwargs", dict(arguments), f"does not fit: {error}", remedy) from error
    return model(**arguments)
