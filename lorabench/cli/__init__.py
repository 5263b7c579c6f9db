"""The command line: translates what was typed into one workflow call, and its result into text or JSON.

Exit codes: 0 done; 1 is reserved for commands that will judge (`--fail-on`); 2 bad input, or it
could not run; 3 an unexpected error, which is a bug; 130 stopped with Ctrl-C.
"""

from lorabench.cli.entry import main, run

__all__ = ["main", "run"]
