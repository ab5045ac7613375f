# Saves what jq prints; like shell.sh, at the end of a pipe.
path=$1 seq=$2 count=$3
while :; do
	seq=$((seq + 1))
	echo "$seq" | jq --argjson n "$count" \
		'. as $s | {head: $s, who: "jq", body: [range($n) | $s], tail: $s}' >"$path" || exit 1
	echo "$seq"
done
