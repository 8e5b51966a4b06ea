"""VaultSecret: a Kubernetes secret made from a secret of OCI's vault, when the stack is deployed."""

import pulumi
from pydantic import Field

from pulumi_plinth import naming
from pulumi_plinth.cluster.args import VaultSecretArgs, checked
from pulumi_plinth.cluster.spec import SecretSpec
from pulumi_plinth.options import main_child
from pulumi_plinth.quantities import Label


class _Checked(SecretSpec):
    """What is plain of the arguments."""

    name: Label = Field(description="Name of the Kubernetes secret.")


class VaultSecret(pulumi.ComponentResource):
    """The value passes through Pulumi as a secret: encrypted in the state, shown nowhere."""

    secret_name: pulumi.Output[str]
    """Name of the Kubernetes secret, once it is there."""

    def __init__(self, name: str, args: VaultSecretArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        spec = checked(_Checked, name, args)
        super().__init__(naming.VAULT_SECRET, name, {**args}, opts)
        import pulumi_kubernetes as kubernetes
        import pulumi_oci as oci

        bundle = oci.secrets.get_secretbundle_output(
            secret_id=args["secret_id"], opts=pulumi.InvokeOutputOptions(parent=self)
        )
        content: pulumi.Output[str] = bundle.secret_bundle_contents.apply(lambda found: found[0].content)
        hidden: pulumi.Output[str] = pulumi.Output.secret(content)
        made = kubernetes.core.v1.Secret(
            naming.child(name, "secret"),
            metadata={"name": spec.name, "namespace": spec.namespace},
            type="Opaque",
            data={spec.key: hidden},
            opts=main_child(self, opts),
        )
        self.secret_name = made.metadata.apply(lambda found: found.name or "")
        self.register_outputs({"secret_name": self.secret_name})
