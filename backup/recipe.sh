#!/bin/sh
# recipe.sh PACK TX OUT: gets version TX out of a pack, with nothing but zstd,
# grep, sed, head and tail. See FORMAT.md.
set -eu
export LC_ALL=C
pack=$1 tx=$2 out=$3

found=$(grep -a -b -o "{\"tx\":$tx,.*\"crc\":\"[0-9a-f]*\"}" "$pack" | grep -v '"removed":true' | tail -n 1)
[ -n "$found" ] || { echo "$pack has no version $tx" >&2; exit 1; }
offset=${found%%:*}
json=${found#*:}
frame=$(printf %s "$json" | sed 's/.*"frame":\([0-9]*\).*/\1/')
tail -c +$((offset + ${#json} + 2)) "$pack" | head -c "$frame" > "$out.frame"

case $json in
*'"delta":'*)
	base=$(printf %s "$json" | sed 's/.*"delta":\([0-9]*\).*/\1/')
	"$0" "$pack" "$base" "$out.base"
	zstd -q -d -f --long=27 --patch-from="$out.base" "$out.frame" -o "$out"
	rm -f "$out.base"
	;;
*) zstd -q -d -f < "$out.frame" > "$out" ;;
esac
rm -f "$out.frame"
