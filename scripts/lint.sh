#!/usr/bin/env bash
# Runs gofmt, go vet and golangci-lint; the last is built once into bin/.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

GOLANGCI=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
unformatted=$(gofmt -l $(git ls-files '*.go'))
if [ -n "$unformatted" ]; then
	printf 'lint: run gofmt -w on these:\n%s\n' "$unformatted" >&2
	exit 1
fi
go vet ./...
if ! command -v golangci-lint >/dev/null 2>&1 && [ ! -x bin/golangci-lint ]; then
	echo "lint: building $GOLANGCI into bin/ (once, some minutes)"
	GOBIN="$PWD/bin" go install "$GOLANGCI"
fi
PATH="$PWD/bin:$PATH" golangci-lint run ./...
