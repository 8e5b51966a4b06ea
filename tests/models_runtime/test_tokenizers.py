"""build_tokenizer for real: pad tokens, limits and chat templates, with the sample model's tokenizer."""

import json

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def test_tokenizers(engine_python):
    """Pad tokens are taken in their order, templates in theirs, and one that fails is refused with its line."""
    code = """
    def show(**given):
        made = build_tokenizer(ModelParams(model_name=MODEL, **given))
        return [made.pad_token, len(made), made.padding_side]
    print(json.dumps([
        show(),
        show(tokenizer_kwargs={'pad_token': '<|endoftext|>', 'padding_side': 'left'}),
        show(tokenizer_pad_token='<|im_start|>', tokenizer_kwargs={'pad_token': '<|endoftext|>'}),
        show(chat_template='auto', tokenizer_name=MODEL),
    ]))
    from plinth_runtime.models.chat import BUNDLED
    own = build_tokenizer(ModelParams(model_name=MODEL))
    default = build_tokenizer(ModelParams(model_name=MODEL, chat_template='default'))
    given = build_tokenizer(ModelParams(model_name=MODEL, chat_template='{{ messages[0].content }}!'))
    print(len({own.chat_template, default.chat_template, given.chat_template}))
    print(default.chat_template == (BUNDLED / 'default.jinja').read_text())
    own.add_tokens(['<|finetune_right_pad_id|>'])
    print(get_default_special_tokens(own))
    """
    shown, *rest = engine_python.run(code).splitlines()
    assert json.loads(shown) == [
        ["<|im_end|>", 49152, "right"],
        ["<|endoftext|>", 49152, "left"],
        ["<|im_start|>", 49152, "right"],
        ["<|im_end|>", 49152, "right"],
    ]
    assert rest == ["3", "True", "SpecialTokens(pad_token='<|finetune_right_pad_id|>')"]


def test_every_template_of_the_components_renders(engine_python):
    """All named templates are found by their names and pass the check with a real tokenizer."""
    code = """
    from plinth_runtime.models.chat import check_template, read_template, template_folder, template_names
    tokenizer, folder = build_tokenizer(ModelParams(model_name=MODEL)), template_folder(None)
    for name in template_names(folder):
        tokenizer.chat_template = read_template(name, folder)
        check_template(tokenizer)
    print(len(template_names(folder)))
    """
    assert int(engine_python.run(code)) >= 13


BARE = """
    import shutil
    from pathlib import Path
    bare = Path(TMP) / 'bare'
    if not bare.exists():
        bare.mkdir()
        settings = json.loads(Path(MODEL, 'tokenizer_config.json').read_text())
        for name in ('pad_token', 'chat_template'):
            settings.pop(name, None)
        (bare / 'tokenizer_config.json').write_text(json.dumps(settings))
        for name in ('config.json', 'tokenizer.json'):
            shutil.copy(Path(MODEL, name), bare)
    bare = str(bare)
"""


def test_a_base_models_tokenizer(engine_python):
    """A tokenizer without a template gets the plain one with a warning, and without a pad token is refused."""
    code = """
    print(bool(build_tokenizer(ModelParams(model_name=bare, tokenizer_pad_token='<|im_end|>')).chat_template))
    """
    made = engine_python.attempt(BARE + code)
    assert (made.error, made.out) == (None, "True\n")
    assert any("no chat template and is given the template `default`" in text for text in made.warnings)


REFUSED = [
    ("build_tokenizer(ModelParams(model_name=bare))", "BuildError", "no padding token"),
    ("build_tokenizer(ModelParams(model_name=bare, tokenizer_pad_token='<|im_end|>', chat_template='auto'))",
     "BuildError", "no template of its own"),
    ("build_tokenizer(ModelParams(model_name=MODEL, tokenizer_pad_token='<pad>'))",
     "BuildError", "none of the tokenizer's"),
    ("build_tokenizer(ModelParams(model_name=MODEL, chat_template='lama3-instruct'))", "BuildError", "llama3-instruct"),
    ("build_tokenizer(ModelParams(model_name=MODEL, chat_template='{{ a\\n}'))", "BuildError", "line "),
    ("build_tokenizer(ModelParams(model_name=MODEL, chat_template='{{ 1 }}'))", "BuildError", "drops the user's text"),
    ("build_tokenizer(ModelParams(model_name=MODEL, chat_template=\"{{ raise_exception('no') }}\"))",
     "BuildError", "fails on a user turn: no"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED)
def test_refused(engine_python, call, kind, message):
    """What cannot work says which parameter is wrong and what to write."""
    done = engine_python.attempt(BARE + f"    {call}\n")
    assert done.kind == kind, done.error
    assert message in done.error
