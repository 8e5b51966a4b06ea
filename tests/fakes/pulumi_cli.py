"""Stands in for the Pulumi CLI: notes how it was called (arguments, passphrase file) and answers from files.

Run as an executable named `pulumi`. FAKE_DIR holds `outputs.json`; the exit code of `up` is in `fails` if that exists.
"""

import json
import os
import sys
from pathlib import Path

HOME = Path(os.environ["FAKE_DIR"])


def main():
    """Note the call and answer it."""
    arguments = sys.argv[1:]
    with (HOME / "calls").open("a") as file:
        file.write(json.dumps([os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE", ""), *arguments]) + "\n")
    if arguments[:2] == ["stack", "output"]:
        outputs = json.loads((HOME / "outputs.json").read_text())
        if "--show-secrets" not in arguments:
            outputs["keys"] = "[secret]"
        print(json.dumps(outputs))
    elif arguments[:2] == ["stack", "export"]:
        print(json.dumps({"version": 3, "deployment": {}}))
    elif arguments[0] == "up" and (HOME / "fails").exists():
        sys.exit(255)


main()
