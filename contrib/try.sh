#!/bin/sh
# try.sh - watch a message pass the gate: one command, nothing of the host's mail is touched.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
. "$source/contrib/common.sh"

usage() {
	cat <<END
Usage: contrib/try.sh [--keep] [--build DIR]

Installs what is missing (Debian packages; no service is started), builds Sekisho
below build/try, starts a private Postfix on loopback with Sekisho as its milter,
sends real messages for two customers, and shows what became of them.
Exits non-zero when anything was not as it should be.

  --keep        leave it running to play with, until Ctrl-C
  --build DIR   show the programs that were built in DIR
  --help        print this
END
}

keep='' build=''
while [ $# -gt 0 ]; do
	case $1 in
	--keep) keep=--keep ;;
	--build) [ $# -gt 1 ] || die '--build wants a directory'; build=$(cd "$2" && pwd); shift ;;
	--help | -h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done

need_root
work=$(mktemp -d "${TMPDIR:-/tmp}/sekisho-try.XXXXXX")
trap 'allow_services; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# shellcheck disable=SC2086
install_packages $build_packages $mta_packages

if [ -z "$build" ]; then
	build=$source/build/try
	mkdir -p "$build" 2>/dev/null && [ -w "$build" ] || build=$work/build
	printf 'Building Sekisho (%s) ' "$build"
	(
		copy_sources "$build/source"
		cd "$build/source"
		[ -x configure ] || autoreconf -fi
		cd "$build"
		[ -f Makefile ] || source/configure --quiet
		make -j"$(jobs)"
	) >"$work/build.log" 2>&1 &
	builder=$!
	while kill -0 $builder 2>/dev/null; do
		[ -t 1 ] && printf .
		sleep 1
	done
	wait $builder || { echo; tail -n 30 "$work/build.log" >&2; die 'the build failed, see above'; }
	echo ' done'
fi

# shellcheck disable=SC2086
python3 -B "$source/t/e2e/try.py" --build "$build" $keep
