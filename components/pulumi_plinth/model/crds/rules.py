"""What a schema cannot say, as rules in CEL: addresses by the contract's grammar, fields that exclude others. Pure."""

from __future__ import annotations

from typing import Any

from plinth_runtime.contract.uri import SCHEMES, expression, grammar

_NO_CHANGE = "!has(oldSelf.path) || oldSelf.path.contains('://') || (has(self.path) && self.path == oldSelf.path)"


def _rule(rule: str, message: str, path: str | None = None) -> dict[str, Any]:
    return {"rule": rule, "message": message} | ({"fieldPath": path} if path else {})


def _address_rules() -> list[dict[str, Any]]:
    """Hold an address to the grammar of its scheme."""
    schemes = "|".join(SCHEMES)
    known = f"!has(self.storageUri) || self.storageUri.matches(r'^(/|({schemes})://)')"
    names = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    rules = [_rule(known, f"has an unknown scheme; write {names}…", ".storageUri")]
    for scheme in SCHEMES:
        wanted = f"self.storageUri.matches(r'^({expression(scheme)})$')"
        rule = f"!has(self.storageUri) || !self.storageUri.startsWith('{scheme}://') || {wanted}"
        rules.append(_rule(rule, f"is not a {scheme}:// address; write {grammar(scheme)}", ".storageUri"))
    long_form = r"!has(self.storageUri) || !self.storageUri.matches(r'^oci(os)?://n/') || self.storageUri.matches("
    long_form += r"r'^oci(os)?://n/[^/]+/b/[^/]+/o/.+')"
    lost = f"lacks the markers n, b and o; write {grammar('ocios').partition(' or ')[0].replace('ocios', 'oci')}"
    return [*rules, _rule(long_form, lost, ".storageUri")]


STORAGE_RULES = [
    _rule(
        "has(self.storageUri) || has(self.path)",
        "storageUri is missing; write where the content comes from, such as hf://org/model",
    ),
    *_address_rules(),
    _rule(
        r"!has(self.storageUri) || !self.storageUri.matches(r'://(.*/)?\.\.?(/|$)')",
        "steps out of its folder ('.' or '..')",
        ".storageUri",
    ),
    _rule(
        "!has(self.path) || self.path.startsWith('/') || self.path.contains('://')",
        "is not an absolute folder; write one below the nodes' models root, such as /mnt/models/llama",
        ".path",
    ),
    _rule(r"!has(self.path) || !self.path.matches(r'(^|/)\.\.(/|$)')", "steps out of its folder ('..')", ".path"),
    _rule(
        "!has(self.path) || !self.path.contains('://') || !has(self.storageUri) || !self.storageUri.contains('://')",
        "holds an address beside storageUri; write the folder on the node here",
        ".path",
    ),
    _rule(
        "!has(self.key) || !has(self.storageKey) || self.key == self.storageKey",
        "key and storageKey name different secrets; keep key, storageKey is its deprecated spelling",
    ),
    _rule(
        "!has(self.parameters) || !('token' in self.parameters)",
        "token is a secret in plain text; put it into a Secret and name that in key",
        ".parameters",
    ),
    _rule(_NO_CHANGE, "cannot be changed, because pods mount it; declare another model"),
]
"""Rules on `spec.storage`."""
