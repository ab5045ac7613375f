"""Adds one to a counter, forty times, under a lock: increment.py KIND FILE."""
import fcntl
import json
import os
import sys
import time

kind, file = sys.argv[1], sys.argv[2]


def add(f):
    f.seek(0)
    doc = json.load(f)
    doc["n"] += 1
    f.seek(0)
    json.dump(doc, f)
    f.truncate()


for _ in range(40):
    if kind == "flock":
        with open(file, "r+") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            add(f)
    elif kind == "flock-unlock":
        with open(file, "r+") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            add(f)
            f.flush()
            fcntl.flock(f, fcntl.LOCK_UN)
    elif kind == "lockf":
        with open(file, "r+") as f:
            fcntl.lockf(f, fcntl.LOCK_EX)
            add(f)
            f.flush()
            fcntl.lockf(f, fcntl.LOCK_UN)
    elif kind == "lock-file":
        while True:
            try:
                os.close(os.open(file + ".lock", os.O_CREAT | os.O_EXCL))
                break
            except FileExistsError:
                time.sleep(0.001)
        with open(file, "r+") as f:
            add(f)
        os.unlink(file + ".lock")
