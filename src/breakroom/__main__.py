"""`python -m breakroom`: the command line, as the launcher at the root calls it."""

from breakroom.cli.main import main

if __name__ == "__main__":
    main()
