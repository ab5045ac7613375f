"""Saves a document again and again as people do: open for writing, dump."""
import json
import sys

path, seq, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
while True:
    seq += 1
    with open(path, "w") as f:
        json.dump({"head": seq, "who": "python", "body": [seq] * count, "tail": seq}, f, indent=2)
    print(seq, flush=True)
