# Saves what jq prints.
path=$1 seq=$2 count=$3
while :; do
	seq=$((seq + 1))
	jq -n --argjson s "$seq" --argjson n "$count" \
		'{head: $s, who: "jq", body: [range($n) | $s], tail: $s}' >"$path" || exit 1
	echo "$seq"
done
