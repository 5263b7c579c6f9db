"""`python -m lorabench`: the same as the `lorabench` command."""

from lorabench.cli import main

if __name__ == "__main__":
    main()
