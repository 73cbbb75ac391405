#!/bin/sh
# test.sh - everything there is to test, on a Debian machine that need have nothing installed. Needs root.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
. "$source/contrib/common.sh"

usage() {
	cat <<END
Usage: contrib/test.sh [--quick] [--keep]

Installs what tests need (Debian packages; no service is started), builds in a
directory of its own, and runs: the unit tests with gcc, with AddressSanitizer and
UndefinedBehaviorSanitizer, with ThreadSanitizer; a build with clang; make
distcheck; the end-to-end tests through a private Postfix on loopback; rewritten
mail against independent readers from npm; the Debian package, on a small Debian
of its own.
The last line says "N passed, N failed".

  --quick   only gcc's unit tests and the end-to-end tests
  --keep    keep the directory of the builds
  --help    print this
END
}

quick='' keep=''
for argument; do
	case $argument in
	--quick) quick=yes ;;
	--keep) keep=yes ;;
	--help | -h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done

need_root
work=$(mktemp -d "${TMPDIR:-/tmp}/sekisho-test.XXXXXX")
chmod 755 "$work"
tree=$work/source
passed=0 failed=0 began=$(date +%s)

finish() {
	allow_services
	if [ -n "$keep" ]; then
		say "Kept: $work"
	else
		rm -rf "$work"
	fi
}
trap finish EXIT
trap 'exit 130' INT TERM

# Adds up the lines "NAME: N passed, N failed" of a file. Sets counted_passed, counted_failed.
count_lines() {
	# shellcheck disable=SC2046
	set -- $(awk '/: [0-9]+ passed, [0-9]+ failed$/ { p += $(NF - 3); f += $(NF - 1) } END { print p + 0, f + 0 }' "$@")
	counted_passed=$1 counted_failed=$2
}

# step NAME, COMMAND...: runs it with its output in a log; what it counted, or 1, is added to the sum.
step() {
	name=$1 log=$work/$(echo "$1" | tr -c 'a-z0-9\n' -).log start=$(date +%s) status=0
	shift
	printf '%-46s' "$name"
	"$@" >"$log" 2>&1 </dev/null || status=$?
	counted_passed=0 counted_failed=0
	count_lines "$log"
	[ $status -ne 77 ] || { say "left out: $(tail -n 1 "$log")"; return 0; }
	# A step that failed without counting a failure (a crash, a build that broke) is a failure itself.
	[ $status -eq 0 ] || [ "$counted_failed" -gt 0 ] || counted_failed=1
	[ $status -ne 0 ] || [ "$counted_passed" -gt 0 ] || counted_passed=1
	passed=$((passed + counted_passed)) failed=$((failed + counted_failed))
	printf '%5d passed, %d failed  (%d s)\n' "$counted_passed" "$counted_failed" $(($(date +%s) - start))
	if [ $status -ne 0 ]; then
		grep -E '(^|[[:space:]])(FAIL|ERROR|error:|Error )|Sanitizer|^make.*\*\*\*' "$log" | head -n 40 || true
		say "--- the end of its output"
		tail -n 40 "$log"
		say "---"
		{ say "$name:" && grep -E -A 8 '^FAIL' "$log" | head -n 40; } >>"$work/failed" || true
	fi
	return 0
}

# Sendmail cannot be installed beside Postfix, so its packages are only unpacked. Without them its tests are skipped.
unpack_sendmail() {
	mkdir -p "$work/debs" "$work/sendmail" && cd "$work/debs"
	apt_quietly download sendmail-bin sendmail-cf libwrap0 ||
		{ apt_quietly update && apt_quietly download sendmail-bin sendmail-cf libwrap0; } || return 1
	for package in *.deb; do
		dpkg -x "$package" "$work/sendmail" || return 1
	done
	# shellcheck disable=SC2046
	install_packages $(dpkg-deb -f sendmail-bin*.deb Depends | grep -o 'lib[a-z0-9.+-]*' | grep -v '^libwrap0$')
	export SENDMAIL_ROOT="$work/sendmail"
}

# configure_in DIRECTORY, OPTIONS...
configure_in() {
	mkdir -p "$work/$1" && cd "$work/$1" && shift && "$tree/configure" --quiet "$@"
}

# The tests' own logs hold the lines that are counted; automake keeps them out of make's output.
check_in() {
	cd "$work/$1" && make -s -j"$(jobs)" && check_status=0
	make -s -j"$(jobs)" check || check_status=$?
	find . -name '*.trs' | sort | while read -r result; do
		test_log=${result%.trs}.log
		grep -hE ': [0-9]+ passed, [0-9]+ failed$' "$test_log" ||
			sed -n "s|^:test-result: FAIL.*|$test_log: 0 passed, 1 failed|p" "$result"
		grep -qE '^:test-result: (PASS|SKIP)' "$result" || { say "FAIL: $test_log"; tail -n 60 "$test_log"; }
	done
	return "$check_status"
}

unit() {
	variant=$1
	shift
	configure_in "$variant" --enable-developer "$@" && check_in "$variant"
}

clang_build() {
	configure_in clang --enable-developer CC=clang && make -s -j"$(jobs)" all && make -s -j"$(jobs)" check TESTS=
}

# The shared store's tests again, against the other server that speaks its language.
valkey() {
	tests='test_store_redis test_store_redis_faults test_store_redis_life test_store_redis_many test_store_local test_store_local_seat'
	valkey_status=0
	export REDIS_SERVER=valkey-server
	cd "$work/gcc"
	for test in $tests; do
		make -s check VERBOSE=yes TESTS="t/unit/$test" || valkey_status=1
		grep -hE ': [0-9]+ passed, [0-9]+ failed$' "t/unit/$test.log"
	done
	"$tree/t/e2e/run" --build . test_redis || valkey_status=1
	unset REDIS_SERVER
	return "$valkey_status"
}

# VERBOSE: what a test that failed wrote, for its directory goes.
distribution() {
	cd "$work/gcc" && make -s -j"$(jobs)" distcheck VERBOSE=yes
}

end_to_end() {
	cd "$work/gcc" && SEKISHO_LIFE_RECORDS=1000 make -s check TESTS=t/life/test_life && make -s e2e
}

# Readers of mail and pages that others wrote come from npm; Debian's node is new enough for those that package.json names.
differential() {
	cp -R "$tree/t/differential" "$work/differential" && cd "$work/differential" || return 1
	npm install --no-audit --no-fund --no-package-lock --fetch-retries=1 --silent || {
		say 'npm cannot fetch the other readers'
		return 77
	}
	node run.mjs "$work/gcc/sekisho"
}

# The package, on a small Debian of its own.
debian_package() {
	mkdir -p "$work/deb" && DEB_BUILD_OPTIONS=nocheck "$tree/contrib/debian/build" --output "$work/deb" &&
		"$tree/contrib/debian/try" "$work"/deb/sekisho_*.deb
}

# shellcheck disable=SC2086
install_packages $build_packages $mta_packages $test_packages
# Whoever has node from elsewhere keeps it.
{ command -v npm && command -v node; } >/dev/null || install_packages nodejs npm
# Debian has it from 13 on.
if apt-cache show valkey-server >/dev/null 2>&1; then
	install_packages valkey-server
fi
unpack_sendmail || say 'Sendmail cannot be fetched: its tests are left out'
say "Testing in $work, on $(jobs) cores"
copy_sources "$tree"
cd "$tree"
step 'autoreconf' autoreconf -fi
step 'unit tests, gcc' unit gcc
step 'contrib/try.sh, as README has it' "$tree/contrib/try.sh"
step 'end to end, private Postfix and Sendmail' end_to_end
if command -v valkey-server >/dev/null; then
	step 'shared store, Valkey' valkey
else
	say 'shared store, Valkey: left out, Debian has no such package here'
fi
step 'rewriting, held against other readers' differential
if [ -z "$quick" ]; then
	step 'unit tests, address and undefined behaviour' unit asan --enable-asan CFLAGS='-O1 -g'
	step 'build with clang' clang_build
	step 'unit tests, threads' unit tsan --enable-tsan CFLAGS='-O1 -g'
	step 'make distcheck' distribution
	step 'Debian package: built, installed, used, purged' debian_package
fi

[ ! -e "$work/failed" ] || { say 'What failed, once more:' && cat "$work/failed"; }
say "All in $(($(date +%s) - began)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
