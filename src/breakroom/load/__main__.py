"""`python -m breakroom.load --control-fd N`: one load worker, started by `load.process`, never by a person."""

import sys

from breakroom.load.worker import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
