#!/usr/bin/env bash
# Installs what building, the demo and the tests need on a Debian machine, and
# nothing that is there already. Safe to run again; asks nothing.
#
#   scripts/setup.sh [test|programs|lab]...    (default: test)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

# What each set needs: command, Debian package, reason. A command that is
# already there is taken wherever it comes from.
tools_test() {
	cat <<-'LIST'
		fusermount3 fuse3 mounting without root, and unmounting
		zstd zstd reading the history with no tool of ours
		jq jq a writer in the tests
		python3 python3 a writer in the demo and the tests
		node nodejs a writer in the tests
		perl perl a writer in the tests
		git git a writer in the tests
		tar tar a writer in the tests
		ps procps looking at processes while a mount is stopped
		mkfs.ext4 e2fsprogs small file systems that fill up
		losetup mount loop devices for them
		findmnt util-linux looking at what is mounted
		setpriv util-linux being another user
		flock util-linux holding locks
		unshare util-linux other mount namespaces
	LIST
}
tools_lab() {
	cat <<-'LIST'
		mkfs.ext4 e2fsprogs file systems for the crash laboratory
		mkfs.xfs xfsprogs file systems for the crash laboratory
		mkfs.btrfs btrfs-progs file systems for the crash laboratory
	LIST
}
tools_programs() {
	cat <<-'LIST'
		gcc gcc the C programs
		php php-cli a program under test
		ruby ruby a program under test
		javac default-jdk-headless a program under test
		npm npm the Node packages under test
		vim vim-tiny a program under test
		nano nano a program under test
		emacs emacs-nox a program under test
		sponge moreutils a program under test
		rsync rsync a program under test
		unzip unzip a program under test
		zip zip making the archive for unzip
		sqlite3 sqlite3 a program under test
		transmission-daemon transmission-daemon a program under test
		transmission-remote transmission-cli a program under test
	LIST
}
# Python modules have no command: module and package.
modules_programs() {
	cat <<-'LIST'
		tinydb python3-tinydb
		yaml python3-yaml
		ruamel.yaml python3-ruamel.yaml
	LIST
}

missing=()
want() { # command package reason...
	command -v "$1" >/dev/null 2>&1 && return
	case " ${missing[*]:-} " in *" $2 "*) return ;; esac
	printf 'setup: %s is missing: %s (package %s)\n' "$1" "${*:3}" "$2"
	missing+=("$2")
}
have_vim() { command -v vim >/dev/null 2>&1 || command -v vim.tiny >/dev/null 2>&1; }

install_missing() {
	[ ${#missing[@]} -eq 0 ] && return
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		printf 'setup: install these packages, then try again:\n  sudo apt-get install %s\n' "${missing[*]}" >&2
		exit 1
	fi
	printf 'setup: installing %s\n' "${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	local log try
	log=$(mktemp)
	for try in 1 2 3; do
		if { apt-get -q update && apt-get -q install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
			rm -f "$log"
			return
		fi
		printf 'setup: apt-get did not finish (try %d of 3)\n' "$try" >&2
		sleep $((try * 3))
	done
	tail -n 30 "$log" >&2
	exit 1
}

need_go() {
	if ! command -v go >/dev/null 2>&1; then
		echo "setup: Go is missing: install it from https://go.dev/dl/ into /usr/local/go" >&2
		exit 1
	fi
}

need_fuse() {
	[ -e /dev/fuse ] && return
	if [ "$(id -u)" -eq 0 ]; then modprobe fuse 2>/dev/null || true; fi
	[ -e /dev/fuse ] || echo "setup: there is no /dev/fuse here: mounting will not work" >&2
}

node_packages() {
	local dir=integration/programs/testdata/node
	[ -e "$dir/node_modules/.complete" ] && [ "$dir/node_modules/.complete" -nt "$dir/package.json" ] && return
	echo "setup: installing the Node packages under test into $dir/node_modules"
	(cd "$dir" && npm install --no-audit --no-fund --no-package-lock --loglevel=error </dev/null && touch node_modules/.complete)
}

sets=("${@:-test}")
need_go
for set in "${sets[@]}"; do
	case $set in
	test | lab | programs) ;;
	*)
		echo "usage: scripts/setup.sh [test|programs|lab]..." >&2
		exit 3
		;;
	esac
	while read -r command package reason; do
		[ "$command" = vim ] && have_vim && continue
		want "$command" "$package" "$reason"
	done < <("tools_$set")
	if [ "$set" = programs ]; then
		while read -r module package; do
			python3 -c "import $module" 2>/dev/null || /usr/bin/python3 -c "import $module" 2>/dev/null || {
				printf 'setup: the Python module %s is missing (package %s)\n' "$module" "$package"
				missing+=("$package")
			}
		done < <(modules_programs)
	fi
done
install_missing
need_fuse
for set in "${sets[@]}"; do
	if [ "$set" = programs ]; then node_packages; fi
done
