# Saves by redirection. The document comes through cat, as the shell itself
# does not look at what close answers.
path=$1 seq=$2 count=$3
while :; do
	seq=$((seq + 1))
	body=$seq
	i=1
	while [ "$i" -lt "$count" ]; do
		body="$body, $seq"
		i=$((i + 1))
	done
	cat >"$path" <<-DOC || exit 1
		{"head": $seq, "who": "shell", "body": [$body], "tail": $seq}
	DOC
	echo "$seq"
done
