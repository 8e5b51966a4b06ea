"""What a model's folder tells about it, beside what a person wrote."""

import pytest

from pulumi_plinth.model.describe import described, parameter_size
from pulumi_plinth.model.spec import ModelSpec

WHERE = {"store": "disk", "path": "tiny"}


def test_what_is_not_said_is_read_from_the_folder(card):
    """Architecture, type, size, context, license and format come from the card."""
    spec = described(ModelSpec.model_validate(WHERE), card)
    assert (spec.architecture, spec.model_type, spec.parameter_size) == ("LlamaForCausalLM", "llama", "135M")
    assert (spec.max_tokens, spec.license, spec.format.name) == (8192, "apache-2.0", "safetensors")


def test_what_is_said_stays(card):
    """A person's word is never overwritten, not even by a better one."""
    said = {"architecture": "Mine", "maxTokens": 100, "parameterSize": "7B", "license": "own"}
    spec = described(ModelSpec.model_validate(WHERE | said), card)
    assert (spec.architecture, spec.max_tokens, spec.parameter_size, spec.license) == ("Mine", 100, "7B", "own")


def test_detection_can_be_switched_off(card):
    """`detect: false`: nothing is filled in."""
    spec = ModelSpec.model_validate(WHERE | {"detect": False})
    assert described(spec, card) is spec
    assert described(spec, None) is spec


@pytest.mark.parametrize(
    ("count", "text"), [(134_515_008, "135M"), (7_615_616_512, "7.62B"), (1_000_000_000_000, "1T"), (999, None)]
)
def test_sizes_read_as_in_names_of_models(count, text):
    """Three figures and a letter."""
    assert parameter_size(count) == text
