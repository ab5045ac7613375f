#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME each (default 30s). Coverage depends on the
# scheduler, so that much looks new that isn't: trying to shorten each such input
# for the default minute would leave no time to fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

FUZZTIME="${FUZZTIME:-30s}"
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target ($FUZZTIME)"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10x "$package"
	done
done
