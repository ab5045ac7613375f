# Sourced by the other scripts: a bare environment still finds Go, a home and
# a temporary directory. Sets nothing that is set already.
export HOME="${HOME:-/root}"
export PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
case ":$PATH:" in
*:/usr/sbin:*) ;;
*) PATH="$PATH:/usr/sbin:/sbin" ;; # mkfs and losetup live there
esac
if ! command -v go >/dev/null 2>&1 && [ -x /usr/local/go/bin/go ]; then
	PATH="$PATH:/usr/local/go/bin"
fi
export TMPDIR="${TMPDIR:-/tmp}"
export LC_ALL="${LC_ALL:-C.UTF-8}"
