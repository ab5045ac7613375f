"""Holds 19 MB of state. Saves it once for each line it is told, and says so."""
import json
import sys

path, seq = sys.argv[1], int(sys.argv[2])
rows = [{"id": i, "name": f"row {i}", "tags": ["a", "b", "c"], "value": i * 1.5} for i in range(131000)]
print("ready", flush=True)
for _ in sys.stdin:
    seq += 1
    with open(path, "w") as f:
        json.dump({"head": seq, "rows": rows, "tail": seq}, f, indent=2)
    print(seq, flush=True)
