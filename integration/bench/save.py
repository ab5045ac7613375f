import json, os, sys, time

rounds, native, data = int(sys.argv[1]), sys.argv[2], sys.argv[3]
document = {"version": 0, "patterns": [
    {"id": i, "name": "pattern %d" % i, "weight": i / 7, "tags": ["a", "b", str(i)], "seen": i % 2 == 0}
    for i in range(105000)]}


def in_place(path):
    with open(path, "w") as f:
        json.dump(document, f, indent=2)


def recipe(path):
    with open(path + ".tmp", "w") as f:
        json.dump(document, f, indent=2)
        f.flush()
        os.fsync(f.fileno())
    with open(path + ".tmp") as f:
        json.load(f)
    os.replace(path + ".tmp", path)


def timed(save, path):
    document["version"] += 1
    start = time.perf_counter()
    save(path)
    return time.perf_counter() - start


ways = [(in_place, os.path.join(native, "inplace.json")),
        (recipe, os.path.join(native, "recipe.json")),
        (in_place, os.path.join(data, "memory.json"))]
for save, path in ways:
    timed(save, path)
for r in range(rounds):
    times = [0.0] * len(ways)
    for i in range(len(ways)):
        k = (i + r) % len(ways)
        times[k] = timed(*ways[k])
    print(*("%.6f" % t for t in times), flush=True)
