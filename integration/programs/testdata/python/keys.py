"""Runs a program on a terminal of its own and types what stdin holds."""
import os
import pty
import sys

sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
