"""Runs in the engine environment: reads JSON lines {"code": …}, runs each in a fresh namespace, answers JSON lines.

One process for all tests: importing torch and its friends takes longer than most tests.
"""

import contextlib
import io
import json
import sys
import traceback
import warnings


def run(code):
    """Run a program; give what it printed, the warnings it raised, and its last traceback line if it failed."""
    printed, error, kind = io.StringIO(), None, None
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(compile(code, "<test>", "exec"), {"__name__": "__main__"})  # noqa: S102 the test's own text
        except Exception as fault:  # noqa: BLE001 the test looks at it
            error, kind = str(fault), type(fault).__name__
            traceback.print_exc()
    said = [f"{item.category.__name__}: {item.message}" for item in caught]
    return {"out": printed.getvalue(), "error": error, "kind": kind, "warnings": said}


def main():
    """Answer until the input ends. Programs print elsewhere, so that nothing but answers is on this output."""
    answers = sys.stdout
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line)["code"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
