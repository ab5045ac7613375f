"""A shop's inventory, kept as such programs keep it: load, change, save.

Nobody will change this program. It saves in place, like most.
"""
import json
import sys

STATE = sys.argv[1]


def load():
    try:
        with open(STATE) as f:
            return json.load(f)
    except FileNotFoundError:
        return {"day": 0, "items": []}


def save(state):
    with open(STATE, "w") as f:  # from here the old inventory is gone
        json.dump(state, f, indent=2)  # until here the new one is not there


state = load()
state["day"] += 1
state["items"] = [{"sku": f"A-{n:06}", "stock": n * state["day"] % 97, "price": n % 1000 / 10} for n in range(150000)]
print(f"day {state['day']}: saving {len(state['items'])} items", flush=True)
save(state)
print(f"day {state['day']}: saved", flush=True)
