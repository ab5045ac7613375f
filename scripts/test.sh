#!/usr/bin/env bash
# Runs the tests: first the packages that need no mount, then, one at a time,
# those that mount. A test that fails is run again, up to twice, and reported
# as FLAKY if it then passes: the run is green, the report is not silent.
#
#   scripts/test.sh                 everything
#   scripts/test.sh PACKAGE...      only these, one at a time
#
# TESTFLAGS adds flags of go test. INTACT_RERUNS=0 turns the reruns off.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

GOTESTSUM=gotest.tools/gotestsum@v1.13.0
# Without these a test that can't mount would be skipped, and a green run
# would prove less than it says.
export INTACT_REQUIRE_FUSE=1
export INTACT_RERUNS="${INTACT_RERUNS:-2}"

scripts/clear-dead-mounts.sh
outer=$TMPDIR
TMPDIR=$(mktemp -d "$outer/intact-test.XXXXXX")
chmod 755 "$TMPDIR" # some tests are other users for a moment
export TMPDIR
cleanup() {
	scripts/clear-dead-mounts.sh "$TMPDIR" || true
	# The file systems of a test that was cut short are not ours to descend.
	rm -rf --one-file-system -- "$TMPDIR" 2>/dev/null || true
}
trap cleanup EXIT

runner=
if [ "$INTACT_RERUNS" -gt 0 ]; then
	if [ -x bin/gotestsum ] || GOBIN="$PWD/bin" go install "$GOTESTSUM" 2>/dev/null; then
		runner=bin/gotestsum
	else
		echo "test: $GOTESTSUM can't be had, a failing test is not run again"
	fi
fi

flaky=$(mktemp)
status=0
# run NAME FLAGS... -- PACKAGES...
run() {
	local name=$1 flags=() again
	shift
	while [ "$1" != -- ]; do
		flags+=("$1")
		shift
	done
	shift
	[ $# -eq 0 ] && return
	echo "== $name"
	if [ -z "$runner" ]; then
		# shellcheck disable=SC2086 # TESTFLAGS is a list
		go test -timeout 15m "${flags[@]}" ${TESTFLAGS:-} "$@" </dev/null || status=1
		return
	fi
	again=$(mktemp)
	# shellcheck disable=SC2086
	"$runner" --no-color --format standard-quiet \
		--rerun-fails="$INTACT_RERUNS" --rerun-fails-max-failures=5 --rerun-fails-report="$again" \
		--packages="$*" -- -timeout 15m "${flags[@]}" ${TESTFLAGS:-} </dev/null || status=1
	cat "$again" >>"$flaky"
	rm -f "$again"
}

if [ $# -gt 0 ]; then
	run "$*" -p 1 -- "$@"
else
	mapfile -t mounting < <(go list ./... | grep -E '^intactfs/(integration|cmd|fs)(/|$)' || true)
	mapfile -t others < <(go list ./... | grep -v -E '^intactfs/(integration|cmd|fs)(/|$)' || true)
	run "packages that need no mount" -- "${others[@]}"
	run "packages that mount" -p 1 -- "${mounting[@]}"
fi

if [ -s "$flaky" ]; then
	echo
	echo "FLAKY FLAKY FLAKY: these failed at least once (runs, failures):"
	sed 's/^/FLAKY  /' "$flaky"
fi
rm -f "$flaky"
exit "$status"
