"""Rewrites a document in place through one r+ handle per save."""
import json
import os
import sys

path, seq, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if not os.path.exists(path):
    with open(path, "w") as f:
        json.dump({"head": seq, "who": "rplus", "body": [], "tail": seq}, f)
while True:
    seq += 1
    with open(path, "r+") as f:
        doc = json.load(f)
        doc.update(head=seq, who="rplus", body=[seq] * (count + seq % 7), tail=seq)
        f.seek(0)
        json.dump(doc, f)
        f.truncate()
    print(seq, flush=True)
