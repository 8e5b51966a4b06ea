"""Which of a component's options its main child gets: Pulumi passes on `protect`, providers and aliases by itself."""

import pulumi


def main_child(
    parent: pulumi.Resource, given: pulumi.ResourceOptions | None, more: pulumi.ResourceOptions | None = None
) -> pulumi.ResourceOptions:
    """Return options for the child that a component stands for: what its user gave wins over `more`."""
    given = given or pulumi.ResourceOptions()
    forwarded = pulumi.ResourceOptions(
        additional_secret_outputs=given.additional_secret_outputs,
        custom_timeouts=given.custom_timeouts,
        delete_before_replace=given.delete_before_replace,
        ignore_changes=given.ignore_changes,
        retain_on_delete=given.retain_on_delete,
    )
    return pulumi.ResourceOptions.merge(
        pulumi.ResourceOptions.merge(pulumi.ResourceOptions(parent=parent), more), forwarded
    )
