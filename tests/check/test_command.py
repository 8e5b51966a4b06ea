"""Command lines as people write them, read as the engine would."""

import pytest

from pulumi_plinth.check.command import CommandError, config_overrides, flags_of, serving_of_command

MODEL = "Qwen/Qwen2.5-7B-Instruct"


@pytest.mark.parametrize(
    "line",
    [
        f"vllm serve {MODEL} --tensor-parallel-size 2",
        f"vllm serve {MODEL} --tensor-parallel-size=2",
        f"vllm serve {MODEL} --tensor_parallel_size 2",
        f"vllm serve {MODEL} -tp 2",
        f"python3 -m vllm.entrypoints.openai.api_server --model {MODEL} --tensor-parallel-size 2",
        f"vllm serve {MODEL} \\\n  --tensor-parallel-size 2",
        f"sh -c 'sleep 1 && exec vllm serve {MODEL} -tp 2 2>&1 | tee log'",
        ["vllm", "serve", MODEL, "--tensor-parallel-size", 2],
        ["--model", MODEL, "--tensor-parallel-size", "2"],
        [MODEL, "--tensor-parallel-size", "2"],
    ],
)
def test_one_command_in_many_spellings(line):
    """The same model and the same flag."""
    serving = serving_of_command(line)
    assert (serving.model, serving.arguments) == (MODEL, {"tensor-parallel-size": "2"})


def test_environment_in_front_and_beside():
    """Assignments before the program join what is given."""
    serving = serving_of_command(f"CUDA_VISIBLE_DEVICES=0,1 vllm serve {MODEL}", {"HF_HUB_OFFLINE": "1"})
    assert serving.environment == {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "0,1"}


def test_switches_values_and_negative_numbers():
    """A switch is '', several words are one value, -1 is a value."""
    words = f"vllm serve {MODEL} --enable-lora --lora-modules a=/a b=/b --max-model-len -1"
    assert serving_of_command(words).arguments == {
        "enable-lora": "",
        "lora-modules": "a=/a b=/b",
        "max-model-len": "-1",
    }


@pytest.mark.parametrize(
    ("image", "version", "moving"),
    [
        ("vllm/vllm-openai:v0.9.1", (0, 9, 1), False),
        ("vllm/vllm-openai:latest", None, True),
        ("vllm/vllm-openai:nightly", None, True),
        ("vllm/vllm-openai@sha256:0123", None, False),
        ("registry.example/team/vllm-openai:0.11.0-cuda12.9", (0, 11, 0), False),
    ],
)
def test_images(image, version, moving):
    """The tag says the release, or that it moves."""
    serving = serving_of_command(f"vllm serve {MODEL}", image=image)
    assert (serving.version, serving.image_facts.moving) == (version, moving)


@pytest.mark.parametrize(
    ("line", "engine"),
    [
        (f"vllm serve {MODEL}", "vllm"),
        (f"python -m sglang.launch_server --model-path {MODEL} --tp 2", "sglang"),
        (f"--model_name=chat --model_id={MODEL}", "kserve"),
    ],
)
def test_whose_command_it_is(line, engine):
    """Other servers have flags of their own, which vLLM's table does not judge."""
    serving = serving_of_command(line)
    assert (serving.engine, serving.model) == (engine, MODEL)


def test_a_program_of_somebodys_own():
    """Its words are no flags of an engine."""
    serving = serving_of_command("python batch.py --input a")
    assert (serving.model, serving.words, serving.arguments) == (None, (), {})


@pytest.mark.parametrize(
    ("line", "doubles"),
    [
        ("--max-model-len 4096 --max-model-len 8192", ["--max-model-len"]),
        ("--max-model-len=4096 --max_model_len 4096", []),
        ("-tp 2 --tensor-parallel-size 4", ["--tensor-parallel-size"]),
        ("--served-model-name a --served-model-name b", []),
    ],
)
def test_a_number_given_twice(line, doubles):
    """Wrong only where the values differ."""
    found = serving_of_command(f"vllm serve {MODEL} {line}").doubles
    assert [double.name for double in found] == doubles


def test_flags_alone():
    """With and without dashes."""
    assert flags_of("--enable-metrics") == flags_of("enable-metrics") == {"enable-metrics": ""}
    assert flags_of("--max-model-len 4096") == {"max-model-len": "4096"}


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ({"hf-overrides": '{"rope_parameters": {"rope_type": "yarn"}}'}, {"rope_type": "yarn"}),
        ({"rope-scaling": '{"rope_type": "linear"}'}, {"rope_type": "linear"}),
        ({"hf-overrides": "not JSON"}, None),
        ({}, None),
    ],
)
def test_overrides_of_the_configuration(arguments, changed):
    """Rope scaling comes from either flag; what is not JSON changes nothing here."""
    assert config_overrides(arguments).get("rope_scaling") == changed


def test_quotes_that_do_not_close():
    """Such a text is no command."""
    with pytest.raises(CommandError, match="quotation"):
        serving_of_command("vllm serve 'model")
