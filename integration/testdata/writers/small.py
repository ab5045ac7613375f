"""Replaces a document without a pause; each writer has its own number."""
import json
import sys

path, number, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rounds = 0
while True:
    rounds += 1
    seq = rounds * 8 + number
    with open(path, "w") as f:
        json.dump({"head": seq, "who": "small", "body": [seq] * (count + rounds % 50), "tail": seq}, f)
    if rounds == 1:
        print("1", flush=True)
