"""The program: the stack file's value under `plinth:stack`, planned and built. `pulumi up` and `plinth up` run it."""

from pathlib import Path

import pulumi

from pulumi_plinth.errors import SpecError
from pulumi_plinth.observe import observe
from pulumi_plinth.planner import plan_stack
from pulumi_plinth.platform import Platform
from pulumi_plinth.stack import StackSpec

try:
    spec = StackSpec.parse(pulumi.Config("plinth").require_object("stack"))
    plan = plan_stack(spec, observe(spec, Path(__file__).resolve().parent, pulumi.get_stack())).deployable()
except SpecError as error:
    raise pulumi.RunError(str(error)) from None

platform = Platform("plinth", plan)
pulumi.export("endpoints", platform.endpoints)
pulumi.export("management", platform.management)
pulumi.export("keys", platform.keys)
pulumi.export("totals", platform.totals)
