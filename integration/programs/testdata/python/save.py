"""Saves version N of a document as Python programs do: save.py KIND FILE N."""
import json
import multiprocessing
import os
import pathlib
import sys
import tempfile


def make(n):
    return {"version": n, "rows": [{"id": i, "of": n, "text": f"row {i} of {n}"} for i in range(700)]}


def dump(file, n, **options):
    with open(file, "w") as f:
        json.dump(make(n), f, **options)


def rplus(file, n):
    with open(file, "r+") as f:
        doc = json.load(f)
        doc.clear()
        doc.update(make(n))
        f.seek(0)
        json.dump(doc, f)
        f.truncate()


def rplus_empty_first(file, n):
    with open(file, "r+") as f:
        json.load(f)
        f.seek(0)
        f.truncate()
        json.dump(make(n), f)


def locked(file, n):
    import fcntl

    with open(file, "r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        json.dump(make(n), f)
        f.truncate()
        f.flush()
        fcntl.flock(f, fcntl.LOCK_UN)


def path(file, n):
    pathlib.Path(file).write_text(json.dumps(make(n)))


def replace(file, n):
    fd, name = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(file)))
    with os.fdopen(fd, "w") as f:
        json.dump(make(n), f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(name, file)


def processes(file, n):
    """Four processes save the same at once."""
    workers = [multiprocessing.Process(target=dump, args=(file, n)) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
        assert w.exitcode == 0, w.exitcode


def tiny(file, n):
    from tinydb import TinyDB

    db = TinyDB(file)
    db.insert({"version": n, "text": "x" * 3000})
    db.update({"version": n, "text": "y" * 10 * n})
    getattr(db, "drop_tables", getattr(db, "purge_tables", None))()
    db.insert_multiple(make(n)["rows"][:100])
    # Never closed, as in many programs.


def pyyaml(file, n):
    import yaml

    with open(file, "w") as f:
        yaml.safe_dump({"version": n, "rows": make(n)["rows"][:200]}, f)


def ruamel(file, n):
    from ruamel.yaml import YAML

    with open(file, "w") as f:
        YAML().dump({"version": n, "rows": make(n)["rows"][:100]}, f)


KINDS = {
    "dump": dump,
    "dump-indent": lambda file, n: dump(file, n, indent=2),
    "rplus": rplus,
    "rplus-empty-first": rplus_empty_first,
    "locked": locked,
    "pathlib": path,
    "replace": replace,
    "multiprocessing": processes,
    "tinydb": tiny,
    "pyyaml": pyyaml,
    "ruamel": ruamel,
}
KINDS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
