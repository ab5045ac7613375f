#!/bin/bash
# The story: a program that nobody will change loses its file, and then the
# same program, killed the same way, doesn't. Run it with: make demo
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

intact=$(realpath "${bin:-bin/intact}")
work=$(mktemp -d "$TMPDIR/intact-demo.XXXXXX")
data=$work/data
cleanup() {
	status=$?
	"$intact" unmount "$data" >/dev/null 2>&1 || umount -l "$data" 2>/dev/null || true
	rm -rf --one-file-system "$work"
	[ $status -eq 0 ] || echo "the demo failed with $status"
}
trap cleanup EXIT

chapter() { printf '\n\n== %s\n\n' "$*"; }
tell() { printf '  %s\n' "$@"; }
indent() { sed 's/^/    /'; }
shown() { # prints the command as a user types it, then runs it
	printf '  $ %s\n' "$(echo "$*" | sed -e "s|$intact|intact|g" -e "s|$work/||g" -e 's|demo/||g')"
	"$@" 2>&1 | sed -e "s|$work/||g" | indent
	return "${PIPESTATUS[0]}"
}
days() { # which day's inventory a file holds, or what is wrong with it
	python3 - "$1" <<-'PY' | indent
		import json, os, sys
		size = os.path.getsize(sys.argv[1])
		try:
		    with open(sys.argv[1]) as f: state = json.load(f)
		    print(f"{size} bytes, whole: the inventory of day {state['day']}, {len(state['items'])} items")
		except ValueError as e:
		    print(f"{size} bytes, TORN: {e}")
	PY
}
fail() {
	echo "the demo did not go as it should: $*" >&2
	exit 1
}

chapter "1. A program as they are"
tell "inventory.py loads its state, changes it and saves it in place:" ""
sed -n '/^def save/,/there$/p' demo/inventory.py | indent
native=$work/native
mkdir "$native" "$data"
tell "" "It runs for a day, on a plain directory:"
python3 demo/inventory.py "$native/state.json" | indent
days "$native/state.json"
tell "" "On day 2 the power button, the out-of-memory killer or an impatient admin comes:"
demo/killed.sh "$native/state.json"
days "$native/state.json" | tee "$work/said"
grep -q TORN "$work/said" || fail "the file was not torn natively"
tell "" "Both days are lost."

chapter "2. The same program, the same kill, under intact"
shown "$intact" run "$data" -- python3 demo/inventory.py "$data/state.json"
tell "" "and on day 2:"
shown "$intact" run "$data" -- demo/killed.sh "$data/state.json"
days "$data/state.json" | tee "$work/said"
grep -q 'whole: the inventory of day 1' "$work/said" || fail "day 1 is not whole"
tell "" "Day 1 is untouched: the half of day 2 never was anybody's file."
tell "That was the plain directory: nothing of intact is needed to read it."

chapter "3. Every version is kept"
shown "$intact" mount "$data"
tell "The program runs again, over the mount this time, for two days:"
python3 demo/inventory.py "$data/state.json" | indent
python3 demo/inventory.py "$data/state.json" | indent
shown "$intact" log "$data/state.json"
tell "" "Yesterday's inventory was better. Bring it back:"
shown "$intact" restore "$data/state.json@~1"
days "$data/state.json" | tee "$work/said"
grep -q 'whole: the inventory of day 2' "$work/said" || fail "day 2 was not restored"

chapter "4. What is not valid never replaces what is"
tell "A shell script prints its settings anew each time:"
shown demo/settings.sh "$data/settings.json" dark 7
shown cat "$data/settings.json"
tell "" "One day somebody gives it no volume:"
shown demo/settings.sh "$data/settings.json" dark "" && fail "the broken save was not refused"
tell "The script was told. The old settings stand:"
shown cat "$data/settings.json"
tell "" "and the refused ones are kept, with the reason:"
shown "$intact" rejected list "$data"

chapter "5. The end of the day"
shown "$intact" unmount "$data"
shown "$intact" verify "$data"
tell "" "The plain directory, with no intact running:"
shown ls "$data"
days "$data/state.json"
tell "" "To use it on a directory of your own: intact mount DIR"
