"""Runs a program on a terminal of its own and types what stdin holds, a key
at a time, each when the screen has come to rest."""
import os
import pty
import select
import sys

keys = sys.stdin.buffer.read()
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])


def rest(patience):
    """Reads the screen until nothing comes any more; False at its end."""
    while select.select([terminal], [], [], patience)[0]:
        try:
            if not os.read(terminal, 65536):
                return False
        except OSError:
            return False
        patience = 0.03
    return True


alive = rest(5)
for key in keys:
    if not alive:
        break
    os.write(terminal, bytes([key]))
    alive = rest(0.03)
while alive:
    alive = rest(5)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
