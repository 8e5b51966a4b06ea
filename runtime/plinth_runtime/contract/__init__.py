"""What the components and the runtime must agree on. Pure: pydantic and the standard library, no I/O, no clock.

It is all that `pulumi_plinth` may import of the runtime.
"""
