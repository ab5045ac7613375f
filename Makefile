SHELL := /bin/bash
export PATH := $(PATH):/usr/local/go/bin
.DEFAULT_GOAL := help
.PHONY: help setup build demo test race integration programs differential kills fuzz bench chart crashlab crashmem lint check clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## installs what the demo and the tests need (Debian packages, as root)
	@scripts/setup.sh test lab

build: ## bin/intact
	go build -trimpath -o bin/intact ./cmd/intact

demo: setup build ## a legacy program loses its file, then doesn't: one minute
	@bin=$(CURDIR)/bin/intact demo/demo.sh

test: setup build ## everything that decides whether a change is good, in minutes
	go vet ./...
	scripts/test.sh

race: ## the packages that need no mount, under the race detector
	TESTFLAGS=-race scripts/test.sh $$(go list ./... | grep -v /integration)

integration: setup build ## real mounts, unmodified programs and kills, the long form
	INTACT_LONG=1 TESTFLAGS="-count=1 -v" scripts/test.sh ./integration/...

programs: build ## installs many programs, drives each through a mount, writes docs/programs.md
	@scripts/setup.sh test programs
	INTACT_PROGRAMS=all INTACT_REQUIRE_FUSE=1 go test -count=1 -timeout 30m -v ./integration/programs/ -table $(CURDIR)/docs/programs.md

differential: build ## random operations against the mount, native files and a model, the long form
	INTACT_DIFFERENTIAL=2000 INTACT_REQUIRE_FUSE=1 go test -count=1 -timeout 120m -v ./integration/differential/

kills: build ## a thousand kills of the daemon, a thousand of writers, with the count
	INTACT_KILLS=$${INTACT_KILLS:-1000} INTACT_REQUIRE_FUSE=1 go test -count=1 -timeout 90m -v -run 'TestKilled(Daemon|Writers)' ./integration/

fuzz: ## every fuzz target for FUZZTIME each (default 30s)
	scripts/fuzz.sh

bench: setup build ## ratios against the native file system, interleaved in one run
	go run ./integration/bench -intact $(CURDIR)/bin/intact

chart: ## docs/benchmarks.svg and the tables, from the results in docs/benchmarks
	go run ./integration/bench/chart -o docs/benchmarks.svg docs/benchmarks/*.json

crashlab: build ## crashes at every flush of a recorded block device, on ext4, xfs and btrfs
	@scripts/setup.sh test lab
	go run ./integration/crashlab/cmd/crashlab -intact $(CURDIR)/bin/intact -states 10000 -seed 1

crashmem: ## a million crashes of journal and history in memory
	go run ./journal/campaign -states 1000000 -seed 1

lint: ## gofmt, go vet, golangci-lint with the rules that guard the imports
	@scripts/lint.sh

check: lint test race ## lint, test and race: what a change has to pass

clean: ## removes what the other targets made
	rm -rf bin dist
