#!/bin/sh
# setup.sh - wires Sekisho into a Postfix that is there already, and takes it out again.
set -eu

usage() {
	cat <<END
Usage: contrib/setup.sh [--remove] [--yes] [--diff] [--no-reload]
                        [--config DIR] [--socket NAME]

Shows what would change in main.cf, asks, keeps a copy of the old file, writes the
new one, lets \`postfix check\` judge it (the old one comes back when it is refused)
and reloads Postfix when it runs. Doing it twice changes nothing the second time.

  --remove        take Sekisho out; settings become again what they were before
  --yes           do not ask
  --diff          show what would change, and stop (exit 1 when something would)
  --no-reload     leave the running Postfix alone
  --config DIR    Postfix's configuration directory (/etc/postfix)
  --socket NAME   as smtpd_milters has it (unix:milter/sekisho.sock)
  --help          print this

Exit: 0 done, or nothing to do; 1 not done; 2 usage.
END
}

say() {
	printf '%s\n' "$*"
}

die() {
	printf 'setup.sh: %s\n' "$*" >&2
	exit 1
}

config=/etc/postfix socket=unix:milter/sekisho.sock remove='' yes='' diff_only='' reload=yes
while [ $# -gt 0 ]; do
	case $1 in
	--remove) remove=yes ;;
	--yes | -y) yes=yes ;;
	--diff) diff_only=yes ;;
	--no-reload) reload='' ;;
	--config) [ $# -gt 1 ] || { usage >&2; exit 2; }; config=$2; shift ;;
	--socket) [ $# -gt 1 ] || { usage >&2; exit 2; }; socket=$2; shift ;;
	--help | -h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
case $socket in
unix:?* | inet:?*:?*) ;;
*) printf 'setup.sh: %s is neither unix:PATH nor inet:HOST:PORT\n' "$socket" >&2; exit 2 ;;
esac
case $socket in
*[!A-Za-z0-9_./:@[\]-]*) printf 'setup.sh: %s has characters that a socket needs not\n' "$socket" >&2; exit 2 ;;
esac

PATH=$PATH:/usr/sbin:/sbin
command -v postconf >/dev/null || die 'there is no postconf on this host'
[ -f "$config/main.cf" ] || die "$config/main.cf is not there"
config=$(cd "$config" && pwd)

# What was before, a line a setting: "name=old value", or "name" alone where main.cf did not have it. Made once, when
# Sekisho comes in, and gone when it is out.
before=$config/sekisho.before

work=$(mktemp -d "${TMPDIR:-/tmp}/sekisho-setup.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cp -p "$config/main.cf" "$work/main.cf"
# postconf wants a master.cf beside it
cp -p "$config/master.cf" "$work/master.cf" 2>/dev/null || : >"$work/master.cf"

# --- one setting, in the copy
get() {
	postconf -c "$work" -h "$1" 2>/dev/null
}

# Does main.cf itself say it?
is_set() {
	[ -n "$(postconf -c "$work" -n "$1" 2>/dev/null)" ]
}

put() {
	postconf -c "$work" -e "$1 = $2"
	look_old
}

# postconf sleeps for a second before a file that has just been written.
look_old() {
	touch -t 200001010000 "$work/main.cf"
}

note() {
	if is_set "$1"; then
		printf '%s=%s\n' "$1" "$(get "$1")"
	else
		printf '%s\n' "$1"
	fi >>"$work/before"
}

# has LIST WORD, without and with: over blanks and commas outside of braces
has() {
	[ "$(without "$1" "$2")" != "$(without "$1" '')" ]
}

without() {
	printf '%s\n' "$1" | awk -v gone="$2" '
		function done() { if (word != "" && word != gone) { out = out sep word; sep = ", " } word = "" }
		{ for (i = 1; i <= length($0); i++) {
			c = substr($0, i, 1)
			depth += (c == "{") - (c == "}")
			if (depth == 0 && c ~ /[ \t,]/) done(); else word = word c
		} done() }
		END { print out }'
}

# --- in
# Sekisho goes first: a signer behind it signs what it has made of the mail.
add_milter() {
	value=$(get "$1")
	has "$value" "$socket" && return 0
	note "$1"
	put "$1" "$socket${value:+, $(without "$value" '')}"
}

wire() {
	add_milter smtpd_milters
	# shellcheck disable=SC2016
	if [ "$(get non_smtpd_milters)" = '' ]; then
		note non_smtpd_milters
		put non_smtpd_milters '$smtpd_milters'
	elif ! has "$(get non_smtpd_milters)" '$smtpd_milters'; then
		add_milter non_smtpd_milters
	fi
	want milter_default_action tempfail
	want enable_long_queue_ids yes
	classes=$(get internal_mail_filter_classes)
	if ! has "$classes" bounce; then
		note internal_mail_filter_classes
		put internal_mail_filter_classes "${classes:+$classes, }bounce"
	fi
}

want() {
	[ "$(get "$1")" = "$2" ] && return 0
	note "$1"
	put "$1" "$2"
}

# --- out
# What somebody else has changed meanwhile stays, but for our own name in it.
unwire() {
	for name in smtpd_milters non_smtpd_milters; do
		value=$(get "$name")
		has "$value" "$socket" && put "$name" "$(without "$value" "$socket")"
	done
	[ -f "$before" ] || return 0
	while IFS= read -r line; do
		name=${line%%=*}
		case $name in
		smtpd_milters | non_smtpd_milters)
			without_old "$name" "$line" ;;
		milter_default_action) [ "$(get "$name")" = tempfail ] && restore "$name" "$line" ;;
		enable_long_queue_ids) [ "$(get "$name")" = yes ] && restore "$name" "$line" ;;
		internal_mail_filter_classes)
			[ "$(without "$(get "$name")" bounce)" = "$(without "$(old_of "$line")" '')" ] && restore "$name" "$line" ;;
		esac
	done <"$before"
	return 0
}

old_of() {
	case $1 in *=*) printf '%s\n' "${1#*=}" ;; esac
}

# shellcheck disable=SC2016
without_old() {
	value=$(get "$1")
	[ "$(without "$value" '')" = "$(without "$(old_of "$2")" '')" ] || [ "$value" = '$smtpd_milters' ] || return 0
	restore "$1" "$2"
}

restore() {
	case $2 in
	*=*) put "$1" "${2#*=}" ;;
	*) postconf -c "$work" -X "$1" && look_old ;;
	esac
}

# --- master.cf may say otherwise for one listener
warn_overrides() {
	postconf -c "$work" -P 2>/dev/null | grep '/smtpd_milters *=' | while IFS= read -r line; do
		say "Beware: master.cf has its own list for one listener, which stays as it is: $line"
	done
}

# --- write
agree() {
	[ -z "$yes" ] || return 0
	[ -t 0 ] || die 'nobody to ask: say --yes'
	printf 'Write this to %s/main.cf? [y/N] ' "$config"
	read -r answer || return 1
	case $answer in [yY] | [yY][eE][sS]) return 0 ;; esac
	return 1
}

# Beside it, then renamed: Postfix never reads half a file.
install_cf() {
	cp -p "$config/main.cf" "$config/main.cf.sekisho-new"
	cat "$1" >"$config/main.cf.sekisho-new"
	mv "$config/main.cf.sekisho-new" "$config/main.cf"
}

: >"$work/before"
if [ -n "$remove" ]; then unwire; else wire; fi

if diff -u "$config/main.cf" "$work/main.cf" >"$work/diff"; then
	say "Nothing to change in $config/main.cf."
	[ -z "$remove" ] || rm -f "$before"
	[ -n "$remove" ] || warn_overrides
	exit 0
fi
sed "1s|.*|--- $config/main.cf|; 2s|.*|+++ $config/main.cf|" "$work/diff"
[ -n "$remove" ] || warn_overrides
[ -z "$diff_only" ] || exit 1
agree || die 'nothing was changed'

backup=$config/main.cf.sekisho-$(date +%Y%m%d%H%M%S)
while [ -e "$backup" ]; do backup=${backup}x; done
cp -p "$config/main.cf" "$backup"
install_cf "$work/main.cf"
if ! postfix -c "$config" check; then
	install_cf "$backup"
	die "postfix check refuses the new main.cf; the old one is back"
fi
if [ -n "$remove" ]; then
	rm -f "$before"
elif [ ! -f "$before" ]; then
	cat "$work/before" >"$before"
fi
say "Written. The old file is $backup"

if [ -n "$reload" ] && postfix -c "$config" status 2>/dev/null; then
	postfix -c "$config" reload
fi
[ -n "$remove" ] || say 'Now: sekisho doctor'
