# Saves by redirection. cat is the last command of a pipe, and opens the file
# itself: a shell that opens it for a command does not look at what close says.
path=$1 seq=$2 count=$3
while :; do
	seq=$((seq + 1))
	body=$seq
	i=1
	while [ "$i" -lt "$count" ]; do
		body="$body, $seq"
		i=$((i + 1))
	done
	echo "{\"head\": $seq, \"who\": \"shell\", \"body\": [$body], \"tail\": $seq}" | cat >"$path" || exit 1
	echo "$seq"
done
