"""Storage URIs: what is accepted, what is refused and how, and that what is read prints back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth_runtime.contract.uri import FORMS, StorageUri, UriError, grammar


@pytest.mark.parametrize(
    ("text", "form", "parts"),
    [
        (
            "oci://n/idlsnvn0f2is/b/model-store/o/olm/v0.0",
            "object",
            {"namespace": "idlsnvn0f2is", "bucket": "model-store", "prefix": "olm/v0.0"},
        ),
        ("oci://n/ns/b/store/o/meta/llama/", "object", {"namespace": "ns", "bucket": "store", "prefix": "meta/llama/"}),
        (
            "oci://ns@us-phoenix-1/store/llama",
            "region",
            {"namespace": "ns", "region": "us-phoenix-1", "bucket": "store", "prefix": "llama"},
        ),
        ("oci://store/llama", "bucket", {"bucket": "store", "prefix": "llama"}),
        ("oci://ghcr.io/acme/llama:3", "artifact", {"registry": "ghcr.io", "repository": "acme/llama", "tag": "3"}),
        ("ocios://n/ns/b/store/o/x", "object", {"namespace": "ns", "bucket": "store", "prefix": "x"}),
        ("hf://meta-llama/Llama-3.1-8B", "model", {"model": "meta-llama/Llama-3.1-8B"}),
        ("hf://org/m@refs/pr/1", "model", {"model": "org/m", "revision": "refs/pr/1"}),
        ("hf://gpt2", "model", {"model": "gpt2"}),
        ("pvc://models/llama/3", "claim", {"claim": "models", "subpath": "llama/3"}),
        ("pvc://ai:models/x", "claim", {"kubernetesNamespace": "ai", "claim": "models", "subpath": "x"}),
        ("local:///mnt/models/x", "path", {"path": "/mnt/models/x"}),
        ("local://models/x", "path", {"path": "models/x"}),
        ("vendor://acme/models/a/b", "path", {"vendor": "acme", "type": "models", "path": "a/b"}),
        ("s3://bucket@us-east-1/a/b", "bucket", {"bucket": "bucket", "region": "us-east-1", "prefix": "a/b"}),
        ("s3://bucket", "bucket", {"bucket": "bucket"}),
        ("az://acct/container/blob", "account", {"account": "acct", "container": "container", "blob": "blob"}),
        ("az://acct.blob.core.windows.net/c/b", "host", {"account": "acct", "container": "c", "blob": "b"}),
        ("gs://bucket/a", "bucket", {"bucket": "bucket", "object": "a"}),
        ("github://acme/llama@v1.0", "release", {"owner": "acme", "repo": "llama", "tag": "v1.0"}),
        ("https://models.example:8443/a/b.tar", "url", {"host": "models.example:8443", "path": "a/b.tar"}),
    ],
)
def test_every_form_is_read_into_its_parts_and_prints_back(text, form, parts):
    """Each scheme's forms of the grammar are told apart."""
    uri = StorageUri.parse(text)
    assert (uri.form.name, dict(uri.parts), str(uri)) == (form, parts, text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("oci://n/x/b/y", "lacks the markers n, b and o; write oci://n/{namespace}/b/{bucket}/o/{prefix}"),
        ("oci://x/ns/b/store/o/p", "lacks the markers"),
        ("oci://n/ns/B/store/O/p", "lacks the markers"),
        ("oci://n//b//o/x", "has an empty part"),
        ("oci://n/../b/../o/..", "steps out of its folder"),
        ("oci://store", "is not a oci:// address"),
        ("hf://", "is empty behind the scheme; write hf://{model}[@{revision}]"),
        ("hf://a/b/c", "is not a hf:// address"),
        ("hf://a/b@", "is not a hf:// address"),
        ("hf://a--b/c", "has '--' or '..' in the model id"),
        ("hf://a/.b", "is not a model id on the hub"),
        ("hf://a b/c", "is not a hf:// address"),
        (f"hf://a/{'b' * 100}", "is not a model id on the hub"),
        ("pvc:///x", "has an empty part; write pvc://[{kubernetesNamespace}:]{claim}/{subpath}"),
        ("pvc://claim/", "is not a pvc:// address"),
        ("pvc://a:b:c/d", "is not a pvc:// address"),
        ("pvc://-ns:c/d", "is not a pvc:// address"),
        ("pvc://Ns:c/d", "is not a pvc:// address"),
        ("local://", "is empty behind the scheme"),
        ("local://../etc", "steps out of its folder"),
        ("local:///mnt/%2e%2e/etc", "steps out of its folder"),
        ("local:///mnt/a%2F..%2Fetc", "steps out of its folder"),
        ("vendor://acme/models", "is not a vendor:// address"),
        ("s3:///x", "has an empty part"),
        ("s3://b//x", "has an empty part"),
        ("az://acct", "is not a az:// address"),
        ("gs://", "is empty behind the scheme"),
        ("github://acme", "is not a github:// address"),
        ("https://user:pw@host/x", "holds a user, query or fragment; keep credentials in a secret"),
        ("https://host/x?sig=1", "holds a user, query or fragment"),
        ("http://host/x", "has an unknown scheme; write https://"),
        ("HF://a/b", "has an unknown scheme; write hf://"),
        ("ftp://a/b", "has an unknown scheme; write oci, ocios, hf"),
        ("/mnt/models", "has no scheme; start it with oci://"),
        ("", "has no scheme"),
        ("local:///a\x00b", "is not a local:// address"),
        (f"local:///{'a' * 3000}", "is longer than 2048 characters"),
    ],
)
def test_what_is_wrong_is_refused_with_the_grammar(text, problem):
    """A refusal names the fault and shows what to write, and never repeats a password."""
    with pytest.raises(UriError) as caught:
        StorageUri.parse(text)
    assert problem in str(caught.value)
    assert "pw" not in str(caught.value).replace("pwd", "")


def test_defaults_are_meant_but_not_written():
    """A revision or tag that is left out has a documented meaning and prints as it was."""
    assert StorageUri.parse("hf://a/b").get("revision") == "main"
    assert StorageUri.parse("github://a/b").get("tag") == "latest"
    assert StorageUri.parse("s3://b").get("region") is None


def test_every_example_of_the_table_is_read_by_its_own_row():
    """The grammar's examples are true."""
    for form in FORMS:
        text = form.example.replace("…", "0" * 64)
        uri = StorageUri.parse(text)
        assert (uri.form, str(uri)) == (form, text)
        assert form.grammar in grammar(form.scheme)


SEGMENT = st.from_regex(r"[A-Za-z0-9_~ ,+=-]{1,12}", fullmatch=True).filter(lambda text: text == text.strip())
PATH = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)
NAME = st.from_regex(r"[a-z][a-z0-9]{2,10}", fullmatch=True)
PARTS = {"prefix": PATH, "path": PATH, "subpath": PATH, "object": PATH, "blob": PATH}
OTHERS = {
    "model": st.tuples(NAME, NAME).map("/".join),
    "digest": st.just("sha256:" + "ab" * 32),
    "registry": NAME.map(lambda name: f"{name}.example:5000"),
}


@st.composite
def uris(draw):
    """A URI of any form, with and without its optional parts."""
    import re

    form = draw(st.sampled_from(FORMS))
    text = re.sub(r"\[([^\[\]]*)\]", lambda option: option[1] if draw(st.booleans()) else "", form.grammar)
    return re.sub(r"\{(\w+)\}", lambda part: draw({**PARTS, **OTHERS}.get(part[1], NAME)), text)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(uris())
def test_whatever_fits_the_grammar_prints_back_identically(text):
    """Reading and printing is the identity on every form."""
    assert str(StorageUri.parse(text)) == text
    assert StorageUri.parse(str(StorageUri.parse(text))) == StorageUri.parse(text)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.tuples(st.sampled_from(FORMS), st.text(max_size=40)).map(lambda pair: f"{pair[0].scheme}://{pair[1]}"),
    )
)
def test_any_text_is_read_or_refused(text):
    """Nothing but a URI or a UriError comes out, and what is read never leaves its folder."""
    try:
        uri = StorageUri.parse(text)
    except UriError as error:
        message = str(error)
    else:
        message = "; "
        assert str(uri) == text
        assert ".." not in text.split("/")
    assert "; " in message
