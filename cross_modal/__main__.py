"""Runs the command line as `python -m cross_modal`."""

import sys

from cross_modal.cli import main

sys.exit(main())
