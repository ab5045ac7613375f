"""Appends a line to a log in JSON Lines, opening it for every line."""
import json
import sys

path, seq, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
while True:
    seq += 1
    with open(path, "a") as f:
        f.write(json.dumps({"head": seq, "who": "append", "body": [seq] * (count // 8), "tail": seq}) + "\n")
    print(seq, flush=True)
