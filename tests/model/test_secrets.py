"""Keys and tokens in documents: they become references, the warning says where they were, nobody ever sees them."""

import json

import pytest

from pulumi_plinth.model.convert import DIALECTS, convert
from pulumi_plinth.model.findings import shown

VALUE = "Tr0ub4dor-plain-value"
TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWx"

MEGA = f"""apiVersion: llm.nstream.ai/v1
kind: MegaModel
metadata: {{name: gpt-4-mega, namespace: nstream}}
spec:
  modelProvider: AzureOpenAI
  modelTemplate:
    azureOpenAI:
      apiVersion: 2023-10-01-preview
      apikey: {VALUE}
      deployment: d
      endpoint: https://r.openai.azure.com
"""
OME = """apiVersion: ome.io/v1beta1
kind: ClusterBaseModel
metadata: {name: m}
spec:
  storage: {storageUri: hf://o/m, %s}
  %s
"""
DOCUMENTS = [
    (MEGA, "spec.modelTemplate.azureOpenAI.apikey", "gpt-4-mega-apikey"),
    (OME % (f"parameters: {{token: {VALUE}}}", "x: 1"), "spec.storage.parameters.token", "m-token"),
    (OME % (f"key: {TOKEN}", "x: 1"), "spec.storage.key", "m-key"),
    (OME % ("a: 1", f"additionalMetadata: {{note: 'use {TOKEN}'}}"), "spec.additionalMetadata.note", "m-note"),
    (OME % ("a: 1", f"modelConfiguration: {{deep: [{{api_key: {VALUE}}}]}}"), "spec.modelConfiguration.deep[0].api_key",
     "m-api-key"),
    (OME % ("a: 1", f"surprise: {{password: {VALUE}}}"), "spec.surprise.password", "m-password"),
    (f"model: {{model_name: o/m, model_kwargs: {{token: {TOKEN}}}}}\n", "model.model_kwargs.token", "m-token"),
    ("model: {model_name: o/gpt}\nengine: OPENAI\nremote_params: {api_key: sk-0123456789abcdefgh}\n",
     "remote_params.api_key", "gpt-api-key"),
    (json.dumps({"technic_name": "m", "path": "m", "deploy_config": {"hf_token": VALUE}}), "deploy_config.hf_token",
     "m-hf-token"),
    (f"FROM llama3\nSYSTEM The key is {TOKEN}\n", "modelfile", "model-modelfile"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "name"), DOCUMENTS, ids=[row[1] for row in DOCUMENTS])
@pytest.mark.parametrize("to", list(DIALECTS))
def test_a_plain_secret_is_replaced_and_never_shown(text, path, name, to):
    """Neither models, warnings, errors nor documents hold it; the warning names the place and the reference."""
    result = convert([("file", text)], to)
    everything = json.dumps(result.to_json()) + repr(result) + "".join(map(str, (*result.warnings, *result.errors)))
    for secret in (VALUE, TOKEN, "sk-0123456789abcdefgh"):
        assert secret not in everything
    warning = next(finding for finding in result.warnings if "secret in plain text" in finding.message)
    assert (warning.path, f"'{name}'" in warning.message) == (path, True)


@pytest.mark.parametrize(
    "text",
    [
        f"a: 1\na: {TOKEN}\n",
        f"token: {TOKEN}\n  b: [\n",
        f'{{"token": "{TOKEN}", "token": "{VALUE}"}}',
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\nstringData: {{HF_TOKEN: {VALUE}}}\n",
        f"password: {VALUE}\n",
        f"FROM x\nPARAMETER num_ctx {TOKEN}\n",
        OME % (f"storageUri2: https://user:{VALUE}@host/x", "x: 1"),
        (OME % ("a: 1", "x: 1")).replace("hf://o/m", f"'https://user:{VALUE}@host/x'"),
    ],
)
def test_documents_that_are_refused_show_no_secret_either(text):
    """Syntax errors, duplicates and foreign objects are explained without their values."""
    result = convert([("file", text)])
    everything = json.dumps(result.to_json()) + repr(result)
    assert TOKEN not in everything
    assert VALUE not in everything


def test_a_secret_inside_a_longer_text_leaves_the_rest():
    """A prompt keeps its words, an address its host."""
    result = convert([("Modelfile", f"FROM llama3\nSYSTEM The key is {TOKEN}, keep it.\n")], "modelfile")
    assert result.errors == ()
    assert "SYSTEM The key is ${secret:model-modelfile}, keep it." in result.outputs[0][1]


def test_ordinary_names_are_no_secrets():
    """Words that begin like tokens stay."""
    for name in ("sk-learn-classifier-large", "risk-assessment-model", "hf-token", "eyJournal"):
        assert convert([("x", OME % (f"key: {name}", "x: 1"))]).models[0].spec.storage.key == name


def test_a_reference_is_read_back_as_a_reference():
    """What stands for a secret in a written document is no secret, and no second warning comes."""
    first = convert([("file", MEGA)], "nstream")
    again = convert([("file", first.outputs[0][1])], "nstream")
    assert again.warnings == ()
    assert again.models[0].spec == first.models[0].spec
    assert "${secret:gpt-4-mega-apikey}" in first.outputs[0][1]


def test_values_are_shown_short_and_without_credentials():
    """What an error repeats is bounded and clean."""
    assert shown("https://u:pw@host/x") == "https://(hidden)@host/x"
    assert shown(f"a {TOKEN} b") == "a (hidden) b"
    assert len(shown("x" * 10_000)) == 200
    assert shown({"a": 1}) == "(a mapping of 1)"
    assert shown(1 << 80) == "(a huge number)"
