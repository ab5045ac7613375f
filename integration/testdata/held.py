"""Keeps one handle for life, as TinyDB does, and saves through it for each
line it is told: seek, write, flush, fsync, truncate."""
import os
import sys

f = open(sys.argv[1], "r+")
print("ready", flush=True)
for line in sys.stdin:
    f.seek(0)
    f.write(line.rstrip("\n"))
    f.flush()
    os.fsync(f.fileno())
    f.truncate()
    print("saved", flush=True)
