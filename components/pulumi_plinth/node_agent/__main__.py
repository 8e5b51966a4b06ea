"""Print the agents' objects as YAML: `python -m pulumi_plinth.node_agent [NAMESPACE/SECRET…] < agent.yaml`.

`agent.yaml` holds a NodeAgentSpec; the arguments are the secrets that declared models name.
"""

import sys
from collections.abc import Sequence

from pydantic import ValidationError

from pulumi_plinth.errors import Fault, SpecError, faults_of
from pulumi_plinth.model.crds import crd_objects
from pulumi_plinth.model.dialects.source import load
from pulumi_plinth.model.dialects.text import to_yaml
from pulumi_plinth.node_agent.access import SecretName
from pulumi_plinth.node_agent.manifests import node_agent_objects
from pulumi_plinth.node_agent.spec import NodeAgentSpec


def rendered(text: str, secrets: Sequence[str] = ()) -> str:
    """Give definitions and agents as YAML. Raises SpecError with every fault of the spec."""
    documents, _ = load("agent.yaml", text)
    if len(documents) != 1:
        raise SpecError([Fault("agent", None, "is not one YAML document", "write one mapping with `image:`")])
    try:
        spec = NodeAgentSpec.model_validate(documents[0].value)
    except ValidationError as error:
        raise SpecError(faults_of(error, NodeAgentSpec, "agent")) from None
    return to_yaml((*crd_objects(), *node_agent_objects(spec, [_secret(word) for word in secrets])))


def _secret(word: str) -> SecretName:
    namespace, slash, name = word.partition("/")
    if not (namespace and slash and name):
        raise SpecError([Fault("secret", word, "names no Secret", "write NAMESPACE/NAME")])
    return SecretName(namespace, name)


if __name__ == "__main__":
    try:
        sys.stdout.write(rendered(sys.stdin.read(), sys.argv[1:]))
    except SpecError as error:
        sys.exit(str(error))
