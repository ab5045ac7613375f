#!/usr/bin/env bash
# Detaches mounts of intact that earlier test runs left dead below the
# temporary directory: their daemon is gone and every access is answered with
# ENOTCONN. A mount that lives, or only hangs, may be somebody's: it stays.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

below=$(realpath "${1:-$TMPDIR}")
while read -r _ _ _ _ point rest; do
	fstype=${rest#* - }
	[ "${fstype%% *}" = fuse.intact ] || continue
	point=$(printf '%b' "$point") # \040 and the like
	case $point in "$below"/*) ;; *) continue ;; esac
	answer=$(timeout 5 stat -- "$point" 2>&1 >/dev/null) && continue
	case $answer in
	*"not connected"*)
		echo "detaching the dead mount $point"
		umount -l -- "$point" 2>/dev/null || fusermount3 -uz -- "$point" || true
		;;
	esac
done </proc/self/mountinfo
