"""What goes wrong with the test cluster."""


class ClusterError(Exception):
    """It does not come up, does not do what was asked, or does not end; the message ends with a program's own words."""


class MissingError(ClusterError):
    """This machine lacks something, such as Go or a package registry; tests that need it are skipped."""
