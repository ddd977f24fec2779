"""`python -m bftledger`: the command line."""

from bftledger.cli.main import main

if __name__ == "__main__":
    main()
