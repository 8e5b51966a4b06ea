"""Custom models for real: declared, registered, built, saved and built again."""

import json

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

CUSTOM = """
    from pathlib import Path
    from torch import nn
    from plinth_runtime.models.registry import MODELS

    def declare():
        class Mlp(BaseModel):
            def __init__(self, config):
                super().__init__(config)
                self.layer = nn.Linear(self.config['inputs'], self.config['outputs'])
            def forward(self, x, labels=None):
                out = {'logits': self.layer(x)}
                return out if labels is None else {**out, 'loss': self.criterion(out['logits'], labels)}
            @property
            def criterion(self):
                return nn.functional.mse_loss
        return Mlp
    Mlp = MODELS.get('Mlp') or register('Mlp')(declare())
    NEW = ModelParams(model_name='MLP', load_pretrained_weights=False, torch_dtype_str='f64',
                      model_kwargs={'config': {'inputs': 3, 'outputs': 2}})
"""


def test_custom_models(engine_python):
    """A registered model is built by name, saved, and built again from its folder with equal weights."""
    code = (
        CUSTOM
        + """
    import copy, pickle
    model = build_model(NEW)
    x = torch.ones(1, 3, dtype=torch.float64)
    model.save_pretrained(TMP + '/mlp')
    again = build_model(ModelParams(model_name=TMP + '/mlp', torch_dtype='double'))
    copied = copy.deepcopy(model)
    print(torch.allclose(model(x)['logits'], again(x)['logits']), 'loss' in model(x, labels=x[:, :2]))
    print(torch.equal(copied(x)['logits'], model(x)['logits']), type(again) is Mlp, model.layer.weight.dtype)
    print(open(TMP + '/mlp/config.json').read())
    """
    )
    lines = engine_python.run(code).splitlines()
    assert lines[:2] == ["True True", "True True torch.float64"]
    assert json.loads("".join(lines[2:])) == {
        "model_type": "mlp",
        "init_kwargs": {"config": {"inputs": 3, "outputs": 2}},
    }


def test_arguments_of_any_form(engine_python):
    """A constructor with named arguments is kept too, and a saved model can be made anew with other ones."""
    code = (
        CUSTOM
        + """
    class Scale(declare()):
        def __init__(self, width, *, bias=True, **more):
            nn.Module.__init__(self)
            self.layer = nn.Linear(width, more.get('outputs', 1), bias=bias)
    if MODELS.get('scale') is None:
        register('Scale')(Scale)
    made = Scale(4, outputs=2)
    made.save_pretrained(TMP + '/scale')
    again = build_model(ModelParams(model_name=TMP + '/scale', load_pretrained_weights=False,
                                    model_kwargs={'bias': False}))
    print(made.init_kwargs, again.init_kwargs, again.layer.weight.shape)
    """
    )
    printed = engine_python.run(code)
    assert "{'width': 4, 'outputs': 2} " in printed
    assert "{'width': 4, 'bias': False, 'outputs': 2} torch.Size([2, 4])" in printed


WIDER = """build_model(NEW).save_pretrained(TMP + '/wide')
    build_model(ModelParams(model_name=TMP + '/wide', model_kwargs={'config': {'inputs': 4, 'outputs': 2}}))
"""
LESS = """from safetensors.torch import save_file
    made = build_model(NEW)
    made.save_pretrained(TMP + '/less')
    save_file({'layer.weight': made.layer.weight.detach()}, TMP + '/less/model.safetensors')
    build_model(ModelParams(model_name=TMP + '/less'))
"""
UNKNOWN = """Path(TMP, 'gone').mkdir()
    Path(TMP, 'gone', 'config.json').write_text(json.dumps({'model_type': 'gone', 'init_kwargs': {}}))
    build_model(ModelParams(model_name=TMP + '/gone'))
"""
OTHER = """build_model(NEW).save_pretrained(TMP + '/other')
    declare().from_pretrained(TMP + '/other')
"""
CUSTOM_REFUSED = [
    ("register('mlp')(declare())", "is taken by"),
    ("build_model(ModelParams(model_name='Mlp'))", "is a registered model and has no weights"),
    ("build_tokenizer(ModelParams(model_name='Mlp'))", "brings no tokenizer"),
    ("build_model(NEW, PeftParams(q_lora=True))", "does not work on custom models"),
    ("build_model(NEW.model_copy(update={'model_kwargs': {'width': 1}}))", "does not fit: missing a required"),
    ("Mlp({'inputs': 1, 'outputs': 1, 'x': {1}}).save_pretrained(TMP + '/never')", "cannot be kept"),
    (WIDER, "has other weights"),
    (LESS, "layer.bias"),
    (OTHER, "does not hold a Mlp"),
    (UNKNOWN, "holds a gone, which is not registered"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), CUSTOM_REFUSED)
def test_custom_models_refused(engine_python, call, message):
    """A custom model that cannot be kept, found or filled says so."""
    done = engine_python.attempt(CUSTOM + f"    {call}\n")
    assert done.kind == "BuildError", done.error
    assert message in done.error
