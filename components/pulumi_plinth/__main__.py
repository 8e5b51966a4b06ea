"""`python -m pulumi_plinth` is `plinth`."""

from pulumi_plinth.cli import main

main()
