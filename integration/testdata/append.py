"""Appends fifty lines, opening for each or holding: append.py KIND FILE WHO."""
import json
import sys

kind, file, who = sys.argv[1:]
held = open(file, "a") if kind == "hold" else None
for n in range(50):
    f = held or open(file, "a")
    f.write(json.dumps({"who": who, "n": n, "pad": "x" * (n * 7)}) + "\n")
    if held:
        f.flush()
    else:
        f.close()
