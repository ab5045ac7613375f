"""Writes a temporary file beside the document and renames it over."""
import json
import os
import sys
import tempfile

path, seq, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
while True:
    seq += 1
    fd, name = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".save-")
    with os.fdopen(fd, "w") as f:
        json.dump({"head": seq, "who": "replace", "body": [seq] * count, "tail": seq}, f)
    os.replace(name, path)
    print(seq, flush=True)
