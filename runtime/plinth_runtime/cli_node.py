"""The command `node`: the agent of one node. Reads options, calls one function."""

from __future__ import annotations

from pathlib import Path

import click

from plinth_runtime.contract.model_names import AGENT_NAMESPACE

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.option("--node", "name", required=True, metavar="NAME", help="This node's name in the cluster.")
@click.option("--root", required=True, help="Absolute folder for models, cache and records; the same on every node.")
@click.option("--kubeconfig", type=FILE, help="How the cluster is reached. Default: as this pod, or KUBECONFIG.")
@click.option("--context", help="A context of the kubeconfig. Default: its current one.")
@click.option("--namespace", "home", default=AGENT_NAMESPACE, help="Where secrets of ClusterBaseModels lie.")
@click.option("--fetches", default=2, type=click.IntRange(1, 16), help="Models that are fetched at once.")
@click.option("--sweep-seconds", default=300.0, type=click.FloatRange(1), help="Between two looks at everything.")
@click.option("--retry-seconds", default=10.0, type=click.FloatRange(0.1), help="Pause after a first failed fetch.")
@click.option(
    "--keep-seconds", default=30.0, type=click.FloatRange(0), help="Content outlives its declaration so long."
)
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Serve /livez, /readyz, /metrics. 0: do not.")
def node(name: str, root: str, kubeconfig: Path | None, context: str | None, **numbers: float | str) -> None:
    """Bring the models that are declared in a cluster to this node, and say how far they are, until SIGTERM.

    \b
    Example:
      plinth-runtime node --node "$NODE_NAME" --root /mnt/models
    """
    from plinth_runtime.errors import BadConfigError
    from plinth_runtime.node.attempts import Patience
    from plinth_runtime.node.keeping import Keeping
    from plinth_runtime.node.seen import Place
    from plinth_runtime.node.service import Options, run
    from plinth_runtime.node.settings import Settings

    try:
        from plinth_runtime.node.kube import KubeApi
    except ModuleNotFoundError as error:
        hint = "Install it: pip install 'plinth-runtime[kubernetes]'."
        raise BadConfigError(f"the node agent needs {error.name}, which is not installed here", hint=hint) from None
    if not Path(root).is_absolute():
        raise click.BadParameter(f"{root} is not absolute; the same path is used on every node", param_hint="--root")
    settings = Settings(
        Place(name, str(Path(root))),
        patience=Patience(first=float(numbers["retry_seconds"])),
        sweep=float(numbers["sweep_seconds"]),
        keeping=Keeping(deleted=float(numbers["keep_seconds"])),
        fetches=int(numbers["fetches"]),
    )
    run(Options(settings, str(numbers["home"]), int(numbers["port"])), KubeApi.open(kubeconfig, context))
