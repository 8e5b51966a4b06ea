"""What a name means: a folder with a model, a folder with an adapter, or an id on the hub. Reads small JSON files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from plinth_runtime.models.errors import BuildError
from plinth_runtime.models.model_params import ModelParams


def read_json(path: Path, field: str) -> dict[str, Any]:
    """Read a JSON object. Raises BuildError that names the file and what is wrong with it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BuildError(field, str(path), f"cannot be read: {error}", "save the folder again") from error
    if not isinstance(found, dict):
        raise BuildError(field, str(path), "is not a JSON object", "save the folder again")
    return found


def check_place(name: str, field: str) -> None:
    """Refuse what can only be a folder and is none, before a library takes it for an id on the hub."""
    looks_local = name.startswith(("/", "./", "../", "~")) or name.count("/") > 1
    if looks_local and not Path(name).is_dir():
        raise BuildError(field, name, "is no folder", "write a folder that exists, or an id such as org/model")


def resolve(params: ModelParams) -> ModelParams:
    """Give parameters whose model_name is a model: an adapter's folder stands for its base model with the adapter."""
    check_place(params.model_name, "model_name")
    folder = Path(params.model_name)
    is_adapter, is_model = (folder / "adapter_config.json").is_file(), (folder / "config.json").is_file()
    if params.adapter_model is not None:
        check_place(params.adapter_model, "adapter_model")
        if is_adapter and not is_model:
            raise BuildError("model_name", params.model_name, "is an adapter, beside another one", "name the model")
        return params
    if not is_adapter:
        return params
    base = params.model_name if is_model else _base_of(folder)
    return params.model_copy(update={"model_name": base, "adapter_model": params.model_name})


def _base_of(folder: Path) -> str:
    base = read_json(folder / "adapter_config.json", "model_name").get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        remedy = "name the base model here and this folder as adapter_model"
        raise BuildError("model_name", str(folder), "is an adapter that does not say for which model", remedy)
    check_place(base, "base_model_name_or_path in adapter_config.json")
    return base


@contextmanager
def without_adapter(name: str) -> Iterator[str]:
    """Give the same model folder without an adapter that lies in it, as links; other names as they are.

    Loaders put such an adapter on by themselves, so it would be there twice, or beside the one that was asked for.
    """
    folder = Path(name)
    if not (folder / "adapter_config.json").is_file() or not (folder / "config.json").is_file():
        yield name
        return
    with TemporaryDirectory(prefix="plinth-model-") as view:
        for item in folder.iterdir():
            if not item.name.startswith("adapter_"):
                (Path(view) / item.name).symlink_to(item.resolve())
        yield view
