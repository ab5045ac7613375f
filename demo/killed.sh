#!/bin/bash
# Runs the inventory program and kills it in the middle of its save.
file=$1
here=$(dirname "$0")
said=$(mktemp)
python3 "$here/inventory.py" "$file" >"$said" &
pid=$!
for _ in $(seq 1 3000); do # a slow machine may take its time
	grep -q saving "$said" && break
	sleep 0.01
done
sleep 0.25 # a save takes longer than that
kill -9 "$pid"
wait "$pid" 2>/dev/null
sed 's/^/    /' "$said"
echo "    killed with kill -9, in the middle of the save"
rm -f "$said"
exit 0
