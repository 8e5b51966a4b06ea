"""`python -m plinth_runtime` is `plinth-runtime`."""

from plinth_runtime.cli import main

main()
