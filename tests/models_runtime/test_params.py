"""ModelParams and PeftParams, and the parts of builders that need no torch."""

import inspect
import json
import subprocess
import sys
import warnings

import pytest

import plinth_runtime.models as ours
from plinth_runtime.models import BuildError, MissingPackageError, ModelParams, PeftParams
from plinth_runtime.models.chat import read_template, template_folder
from plinth_runtime.models.environment import placement, require
from plinth_runtime.models.folders import resolve, without_adapter
from plinth_runtime.models.freezing import freeze
from plinth_runtime.models.registry import Registry


@pytest.mark.processes
def test_parameters_are_read_without_torch():
    """Importing the package and reading parameters loads none of the heavy libraries."""
    code = (
        "import sys; from plinth_runtime.models import ModelParams; ModelParams(model_name='a/b');"
        "print([name for name in ('torch', 'transformers', 'peft') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("what", ["build_model", "build_tokenizer", "BaseModel"])
def test_builders_say_where_to_run_them(what, monkeypatch):
    """Without torch a builder names the missing packages and the environment that has them."""
    monkeypatch.setattr("plinth_runtime.models.environment.has", lambda package: package != "torch")
    with pytest.raises(MissingPackageError, match=r"torch: not in this environment.*make engine.*PYTHONPATH=runtime"):
        getattr(ours, what)(ModelParams(model_name="a/b"))
    with pytest.raises(MissingPackageError):
        _ = ModelParams(model_name="a/b", torch_dtype="half").torch_dtype


def test_a_name_the_package_does_not_have():
    """A wrong import is an AttributeError like any other, and what there is can be required."""
    with pytest.raises(AttributeError, match="has no attribute 'BaseModels'"):
        _ = ours.BaseModels
    require("json")


DTYPES = [
    *[(word, "float32") for word in ("f32", "float", "float32", "fp32", "torch.float32")],
    *[(word, "float16") for word in ("f16", "half", "float16", "FP16")],
    *[(word, "bfloat16") for word in ("bf16", "bfloat16", "torch.bfloat16")],
    *[(word, "float64") for word in ("f64", "double", "float64")],
    ("auto", "auto"),
]


@pytest.mark.parametrize(("word", "meaning"), DTYPES)
def test_number_formats(word, meaning):
    """Every spelling of a number format is one of five; seed and Oumi name the parameter differently."""
    assert ModelParams(model_name="m", torch_dtype_str=word).torch_dtype_str == meaning
    assert ModelParams(model_name="m", torch_dtype=word).torch_dtype_str == meaning


REFUSED = [
    (ModelParams, {}, "model_name"),
    (ModelParams, {"model_name": ""}, "model_name"),
    (ModelParams, {"model_name": "m", "torch_dtype": "uint8"}, "is not a number format.*bfloat16"),
    (ModelParams, {"model_name": "m", "torch_dtype": "half", "torch_dtype_str": "half"}, "are one parameter"),
    (ModelParams, {"model_name": "m", "model_max_length": 0}, "greater than 0"),
    (ModelParams, {"model_name": "m", "compile": "yes"}, "valid boolean"),
    (ModelParams, {"model_name": "m", "adaptor_model": "x"}, "adaptor_model is no parameter.*write adapter_model"),
    (ModelParams, {"model_name": "m", "xyz": 1}, "xyz is no parameter of ModelParams"),
    (ModelParams, {"model_name": "m", "processor_kwargs": {"model_name": 1}}, "processor_kwargs repeats model_name"),
    (ModelParams, {"model_name": "m", "model_kwargs": {"dtype": "half"}}, "model_kwargs repeats dtype"),
    (ModelParams, {"model_name": "m", "peft_params": {"q_lora_bits": 5}}, "write 4 or 8"),
    (PeftParams, {"q_lora_bits": 5}, "write 4 or 8"),
    (PeftParams, {"q_lora_bits": True}, "write 4 or 8"),
    (PeftParams, {"lora_r": 0}, "greater than 0"),
    (PeftParams, {"lora_alpha": -1}, "greater than 0"),
    (PeftParams, {"lora_dropout": 1}, "less than 1"),
    (PeftParams, {"lora_bias": "some"}, "none"),
    (PeftParams, {"lora_init_weights": "pissa_niter_[number of iters]"}, "pissa_niter_16"),
    (PeftParams, {"bnb_4bit_quant_type": "nf5"}, "nf4"),
    (PeftParams, {"bnb_4bit_quant_storage": "double"}, "is not a storage format"),
    (PeftParams, {"lora_rank": 8}, "lora_rank is no parameter of PeftParams; write lora_"),
]


@pytest.mark.parametrize(("kind", "arguments", "message"), REFUSED)
def test_refused(kind, arguments, message):
    """What cannot be meant is refused when it is written, with what to write instead."""
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


def test_defaults_are_those_of_the_stack_file():
    """One meaning in both distributions: same fields, same defaults, except what a stack file says elsewhere."""
    from pulumi_plinth.model.parameters import ModelParams as StackModel
    from pulumi_plinth.model.peft import PeftParams as StackPeft

    assert PeftParams().model_dump() == StackPeft().model_dump()
    here = ModelParams(model_name="m").model_dump()
    elsewhere = {"model_name", "adapter_model", "chat_template", "model_revision", "peft_params", "torch_dtype_str"}
    there = StackModel().model_dump()
    assert {key: value for key, value in here.items() if key not in elsewhere} == {
        key: value for key, value in there.items() if key != "torch_dtype"
    }
    assert here["torch_dtype_str"] == there["torch_dtype"]


def test_parameters_are_values():
    """Parameters cannot change under a builder, and lists are read as fixed."""
    params = ModelParams(model_name="m", freeze_layers=["a"], peft_params=PeftParams(lora_target_modules=["q"]))
    assert (params.freeze_layers, params.peft_params.lora_target_modules) == (("a",), ("q",))
    with pytest.raises(ValueError, match="frozen"):
        params.model_name = "n"


@pytest.mark.filterwarnings("ignore:model_kwargs")
def test_the_old_place_of_the_revision():
    """A revision in model_kwargs moves to its parameter with a warning; two different ones are refused."""
    given = {"model_name": "m", "model_kwargs": {"revision": "v1", "x": 1}}
    with pytest.warns(FutureWarning, match="write model_revision"):
        params = ModelParams(**given)
    assert (params.model_revision, params.model_kwargs) == ("v1", {"x": 1})
    assert ModelParams(**given, model_revision="v1") == params
    with pytest.raises(ValueError, match=r"'v2'.*'v1' differ"):
        ModelParams(**given, model_revision="v2")


@pytest.mark.parametrize(
    ("device_map", "environ", "expected"),
    [
        ("auto", {}, "auto"),
        (None, {}, None),
        ("auto", {"WORLD_SIZE": "1"}, "auto"),
        ("auto", {"WORLD_SIZE": "4", "LOCAL_RANK": "2"}, "cuda:2"),
        ("cpu", {"WORLD_SIZE": "4", "LOCAL_RANK": "2"}, "cpu"),
        ("auto", {"ACCELERATE_USE_FSDP": "true", "WORLD_SIZE": "4"}, None),
    ],
)
def test_placement(device_map, environ, expected):
    """`auto` spreads one model over all devices only where one process owns them."""
    assert placement(device_map, environ) == expected


def write(folder, **files):
    """Write JSON files into a folder: name without suffix -> content."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return str(folder)


def test_an_adapter_folder_stands_for_its_base(tmp_path):
    """An adapter's folder is the base model with the adapter; with a config of its own it is both."""
    base = write(tmp_path / "base", config={})
    alone = write(tmp_path / "alone", adapter_config={"base_model_name_or_path": base})
    both = write(tmp_path / "both", adapter_config={"base_model_name_or_path": "x"}, config={})
    found = {name: resolve(ModelParams(model_name=name)) for name in (base, alone, both, "org/model")}
    assert [(p.model_name, p.adapter_model) for p in found.values()] == [
        (base, None), (base, alone), (both, both), ("org/model", None),
    ]  # fmt: skip
    with without_adapter(both) as view:
        assert sorted(file.name for file in tmp_path.__class__(view).iterdir()) == ["config.json"]
    with without_adapter(base) as view:
        assert view == base


def test_adapter_folders_that_lead_nowhere(tmp_path):
    """A folder that is none, an adapter without a base, and an adapter on an adapter are refused."""
    orphan = write(tmp_path / "orphan", adapter_config={})
    lost = write(tmp_path / "lost", adapter_config={"base_model_name_or_path": "/no/such/folder"})
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "adapter_config.json").write_text("[1,")
    for arguments, message in [
        ({"model_name": orphan}, "does not say for which model"),
        ({"model_name": lost}, r"base_model_name_or_path in adapter_config.json: is no folder"),
        ({"model_name": str(broken)}, "cannot be read"),
        ({"model_name": "./nothing"}, "model_name: is no folder"),
        ({"model_name": "a/b", "adapter_model": "path/to/adapter"}, "adapter_model: is no folder"),
        ({"model_name": orphan, "adapter_model": "a/b"}, "is an adapter, beside another one"),
    ]:
        with pytest.raises(BuildError, match=message):
            resolve(ModelParams(**arguments))


def test_names_of_models():
    """Names are in lower case and given once."""
    registry = Registry()
    assert registry.register("MyModel")(int) is int
    assert (registry.get("MYMODEL"), registry.get("other"), registry.name_of(int)) == (int, None, "mymodel")
    with pytest.raises(BuildError, match=r"is taken by builtins.int"):
        registry.register("mymodel")(str)
    with pytest.raises(BuildError, match="is no name"):
        registry.register(" ")
    assert registry.names() == ("mymodel",)


@pytest.fixture
def templates(tmp_path):
    """A folder with two templates."""
    for name in ("default", "zephyr"):
        (tmp_path / f"{name}.jinja").write_text(f"{name} {{{{ messages }}}}")
    return tmp_path


def test_chat_templates_by_name_path_and_text(templates):
    """A template is found in the passed folder, among our own, by its path, or is the text itself."""
    ours = template_folder(None)
    assert "start_header_id" in read_template("llama3-instruct", ours)
    assert read_template("zephyr", template_folder(templates)) == "zephyr {{ messages }}"
    assert read_template(str(templates / "zephyr.jinja"), ours) == "zephyr {{ messages }}"
    assert read_template("{{ messages }}", ours) == "{{ messages }}"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("zephir", "did you mean zephyr.*one of default, zephyr"),
        ("nothing.jinja", "cannot be read"),
    ],
)
def test_chat_templates_that_do_not_exist(value, message, templates):
    """An unknown name lists the ones there are, or how to have names."""
    with pytest.raises(BuildError, match=message):
        read_template(value, templates)
    with pytest.raises(BuildError, match="is no folder"):
        template_folder(templates / "none")


class Parameter:
    """A parameter that can be frozen."""

    def __init__(self):
        self.trained = True

    def requires_grad_(self, value):
        """Freeze or not, as torch does."""
        self.trained = value


class Model:
    """A model with named parameters."""

    def __init__(self, *names):
        self.parameters = {name: Parameter() for name in names}

    def named_parameters(self, *, remove_duplicate):
        """List them by every name they have."""
        assert not remove_duplicate
        return self.parameters.items()


def test_freezing():
    """A module's or a parameter's name freezes what is in it; one wrong name freezes nothing and names its like."""
    model = Model("model.layers.1.w", "model.layers.10.w", "lm_head.weight")
    assert freeze(model, ["model.layers.1", "lm_head.weight"]) == 2
    assert [item.trained for item in model.parameters.values()] == [False, True, False]
    fresh = Model("model.layers.1.w", "lm_head.weight")
    with pytest.raises(BuildError, match=r"freeze_layers: is no layer.*got 'lm_heads'.*write lm_head"):
        freeze(fresh, ["model", "lm_heads"])
    assert all(item.trained for item in fresh.parameters.values())


def test_signatures():
    """Builders are called as Oumi's are."""
    assert list(inspect.signature(ours.build_model).parameters) == ["model_params", "peft_params"]
    assert next(iter(inspect.signature(ours.build_tokenizer).parameters)) == "model_params"
    with warnings.catch_warnings():
        assert ours.get_default_special_tokens(None).pad_token is None
