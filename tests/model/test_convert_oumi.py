"""Oumi's recipes as people keep them: members of enumerations, recipes inside other configs, engines of providers."""

import pytest
import yaml

TRAIN = "model: {model_name: org/m}\npeft: {lora_r: 4, %s}\n"


@pytest.mark.parametrize(
    ("written", "field", "meaning", "back"),
    [
        ("lora_init_weights: DEFAULT", "lora_init_weights", "default", None),
        ("lora_init_weights: GAUSSIAN", "lora_init_weights", "gaussian", "GAUSSIAN"),
        ("lora_init_weights: LoraWeightInitialization.PISA", "lora_init_weights", "pissa", "PISA"),
        ("lora_init_weights: olora", "lora_init_weights", "olora", "OLORA"),
        ("lora_init_weights: pissa_niter_16", "lora_init_weights", "pissa_niter_16", "pissa_niter_16"),
        ("peft_save_mode: MERGED", "peft_save_mode", "merged", "MERGED"),
        (
            "peft_save_mode: adapter_and_base_model",
            "peft_save_mode",
            "adapter_and_base_model",
            "ADAPTER_AND_BASE_MODEL",
        ),
        ("lora_task_type: TaskType.SEQ_CLS", "lora_task_type", "SEQ_CLS", "SEQ_CLS"),
    ],
)
def test_members_of_enumerations_are_read_and_written(converted, written, field, meaning, back):
    """Oumi's configs hold the member's name, its Python API the value; what is written is what its configs take."""
    result = converted(TRAIN % written, "oumi")
    assert result.errors == ()
    assert getattr(result.models[0].spec.peft, field) == meaning
    assert yaml.safe_load(result.outputs[0][1])["peft"].get(field) == back


def test_an_initialisation_that_peft_cannot_read_is_refused(converted):
    """PISSA_NITER stands for a text with a hole in it."""
    error = converted(TRAIN % "lora_init_weights: PISSA_NITER").errors[0]
    assert (error.path, error.hint) == ("peft.lora_init_weights", "write with a number, such as pissa_niter_16")


@pytest.mark.parametrize(
    ("recipe", "place"),
    [
        ("inference_config:\n  model: {model_name: org/m, model_revision: v1}\njudge_params: {a: 1}", "judge_params"),
        ("evaluation:\n  model: {model_name: org/m, model_revision: v1}\npolling_interval: 5", "polling_interval"),
    ],
)
def test_recipes_inside_other_configs_are_read(converted, recipe, place):
    """A judge's and an asynchronous evaluation's config hold a recipe; what is around it is reported."""
    result = converted(recipe)
    assert result.errors == ()
    assert result.models[0].spec.storage.uri == "hf://org/m@v1"
    assert [finding.path for finding in result.warnings] == [place]


def test_faults_inside_show_the_whole_path(converted):
    """The path begins at the document, not at the recipe."""
    error = converted("inference_config: {model: {model_name: m, model_max_length: long}}").errors[0]
    assert (error.path, error.value) == ("inference_config.model.model_max_length", "long")


@pytest.mark.parametrize("prefix", ["", "inference_"])
@pytest.mark.parametrize(("engine", "provider"), [("ANTHROPIC", "anthropic"), ("GOOGLE_GEMINI", "gemini")])
def test_providers_are_known_in_inference_and_evaluation(converted, prefix, engine, provider):
    """An evaluation calls the engine otherwise; its model is not looked for on the hub."""
    recipe = f"model: {{model_name: big-1}}\n{prefix}engine: {engine}\n{prefix}remote_params: {{num_workers: 3}}\n"
    result = converted(recipe, "oumi")
    spec = result.models[0].spec
    assert (spec.storage, spec.external.provider, spec.external.model) == (None, provider, "big-1")
    assert f"{prefix}remote_params.num_workers" in {finding.path for finding in result.warnings}
    assert yaml.safe_load(result.outputs[0][1])["engine"] == engine


@pytest.mark.parametrize(
    ("engine", "hint"),
    [("GOOGLE_VERTEX", "with your project and region"), ("BEDROCK", "put a gateway before it"), ("NEW", "api_url")],
)
def test_a_provider_without_an_address_says_what_to_write(converted, engine, hint):
    """What depends on an account cannot be guessed."""
    error = converted(f"model: {{model_name: m}}\ninference_engine: {engine}").errors[0]
    assert (error.path, error.value) == ("inference_engine", engine)
    assert hint in error.hint
    assert "inference_remote_params" in error.hint


def test_a_key_in_an_environment_variable_is_asked_for_as_a_secret(converted):
    """Nothing here reads the variable."""
    recipe = "model: {model_name: m}\nengine: OPENAI\nremote_params: {api_key_env_varname: ACME_KEY}"
    warning = next(item for item in converted(recipe).warnings if item.path.endswith("api_key_env_varname"))
    assert (warning.value, "external: {apiKey" in warning.hint) == ("ACME_KEY", True)


def test_fields_of_later_releases_are_named(converted):
    """What nothing here can do is not lost in silence."""
    recipe = "model: {model_name: m, text_only: true, adapter_model: org/a, adapter_trainable: true}"
    lost = {finding.path for finding in converted(recipe).warnings}
    assert lost == {"model.text_only", "model.adapter_trainable"}


JOB = """name: train
resources: {cloud: gcp}
run: |
  oumi distributed torchrun -m oumi.train -c oumi://configs/a/train.yaml
  oumi evaluate --config "configs/a/eval.yaml" --model.model_name x
"""


def test_a_job_names_the_recipes_that_it_runs(converted):
    """Whoever converts a folder of recipes meets jobs beside them."""
    error = converted(JOB).errors[0]
    assert error.message == "is a job of `oumi launch`, not a recipe"
    assert error.hint == "give the recipe that it runs: oumi://configs/a/train.yaml, configs/a/eval.yaml"


@pytest.mark.parametrize("to", ["ome", "kaito", "modelfile", "deepextension"])
def test_a_provider_s_model_says_why_others_cannot_hold_it(converted, to):
    """Not the first field that happens to be missing."""
    error = converted("model: {model_name: a-model-with-a-long-name-4-1}\nengine: OPENAI", to).errors[0]
    assert "is served by a provider" in error.message
    assert error.hint == "convert it to nstream or oumi"
