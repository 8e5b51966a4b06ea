"""The plugin `plinth`: hosts the components for programs in other languages. Pulumi starts it."""

import sys

from pulumi.provider import main

from pulumi_plinth.hosting import PlinthProvider

if __name__ == "__main__":
    main(PlinthProvider(), sys.argv[1:])
