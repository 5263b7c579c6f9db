"""`python -m lorabench.cli`."""

from lorabench.cli import main

main()
