# shellcheck shell=sh disable=SC2034,SC2154
# common.sh - what try.sh and test.sh share: packages, a copy of the sources, a build. Sourced, not run.
# The caller has set `source` (the top of the sources).

# What building needs, what running the tests needs besides, what making the Debian package needs, and what only test.sh needs.
build_packages='autoconf automake gcc libc6-dev make pkg-config check libhiredis-dev libidn2-dev libjansson-dev liblmdb-dev
	libmicrohttpd-dev libmilter-dev libssl-dev libyaml-dev zlib1g-dev'
mta_packages='iproute2 libsasl2-modules openssl postfix python3'
package_packages='build-essential debhelper lintian'
test_packages='chromium clang e2fsprogs libsystemd-dev nginx opendkim opendkim-tools redis-server systemd-journal-remote xz-utils'

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || die "needs root: it installs packages with apt-get and runs a private Postfix. Try: sudo $0"
}

is_installed() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs what is missing of the packages named. Starts no service, asks nothing, removes nothing.
install_packages() {
	missing=
	for package; do
		is_installed "$package" || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || die "these packages are missing, and there is no apt-get to install them:$missing"
	say "Installing packages:$missing"
	forbid_services
	answer_postfix
	apt_quietly update || apt_failed
	# shellcheck disable=SC2086
	apt_quietly install -y --no-install-recommends --no-remove $missing || apt_failed
	allow_services
}

apt_quietly() {
	DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null >"$work/apt.log" 2>&1
}

apt_failed() {
	allow_services
	if grep -q 'remove is disabled' "$work/apt.log"; then
		die 'the private Postfix needs the package postfix, which cannot stand beside the mail server that is installed
here. Nothing was removed; please use a machine (or a debootstrap root) without another mail server.'
	fi
	tail -n 15 "$work/apt.log" >&2
	die 'apt-get failed, see above'
}

# Debian's packages start their services unless policy-rc.d forbids it. We take away only what we put there.
forbid_services() {
	policy=/usr/sbin/policy-rc.d
	[ -e "$policy" ] && return 0
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	has_our_policy=yes
}

allow_services() {
	[ "${has_our_policy-}" = yes ] || return 0
	rm -f /usr/sbin/policy-rc.d
	has_our_policy=
}

# The host gets Postfix's programs, and no mail system that it did not have.
answer_postfix() {
	is_installed postfix && return 0
	command -v debconf-set-selections >/dev/null || return 0
	echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
}

# A copy of the sources without what Git and builds keep there; only what is newer is copied again.
copy_sources() {
	mkdir -p "$1"
	(cd "$source" && find . \( -path ./.git -o -path ./build -o -name autom4te.cache -o -name .deps \) -prune \
		-o -type f ! -name '*.[oa]' ! -name '*.log' ! -name '*.trs' ! -path ./Makefile ! -path ./config.status \
		-print0 | xargs -0 cp --parents -pu -t "$1")
}

jobs() {
	nproc 2>/dev/null || echo 1
}
