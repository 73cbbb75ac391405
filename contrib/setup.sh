#!/bin/sh
# setup.sh - wires Sekisho into a Postfix that is there already, and takes it out again.
set -eu

usage() {
	cat <<END
Usage: contrib/setup.sh [--remove] [--yes] [--diff] [--no-reload]
                        [--config DIR] [--socket NAME]

Shows what would change in main.cf, and in master.cf where a listener has milters of
its own, asks, keeps a copy of the old files, writes the new ones, lets \`postfix
check\` judge them (the old ones come back when they are refused) and reloads Postfix
when it runs. Doing it twice changes nothing the second time.

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
*[!A-Za-z0-9_./:@[\]-]*) printf 'setup.sh: %s has characters that no name of a socket needs\n' "$socket" >&2; exit 2 ;;
esac

PATH=$PATH:/usr/sbin:/sbin
command -v postconf >/dev/null || die 'there is no postconf on this host'
[ -f "$config/main.cf" ] || die "$config/main.cf is not there"
config=$(cd "$config" && pwd)

# What was before, a line a setting: "name=old value", or "name" alone where main.cf did not have it; a listener's is
# "service/type/name=old value". Lines ":sum FILE SHA256 COPY" say what was written, and where the old file is. Made once,
# when Sekisho comes in, and gone when it is out.
before=$config/sekisho.before

work=$(mktemp -d "${TMPDIR:-/tmp}/sekisho-setup.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
files='main.cf master.cf'
for file in $files; do
	# postconf wants a master.cf beside main.cf
	cp -p "$config/$file" "$work/$file" 2>/dev/null || : >"$work/$file"
done

# --- one setting, in the copy
get() {
	postconf -c "$work" -h "$1" 2>/dev/null
}

expanded() {
	postconf -c "$work" -x -h "$1" 2>/dev/null
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
	touch -t 200001010000 "$work/main.cf" "$work/master.cf"
}

# --- one setting of one listener: "submission/inet/smtpd_milters"
listeners() {
	postconf -c "$work" -P >"$work/overrides" 2>/dev/null || : >"$work/overrides"
}

own_of() {
	postconf -c "$work" "$1" "$2" 2>/dev/null | sed 's/^[^=]*= *//'
}

# postconf writes no blanks into master.cf; lists need none.
put_own() {
	postconf -c "$work" -P "$1=$(printf '%s\n' "$2" | sed 's/[[:space:]]*\([,{}]\)[[:space:]]*/\1/g')"
	look_old
}

# Listeners of this host alone, where a content filter hands back what has passed the gate before.
is_way_back() {
	case $1 in 127.* | localhost:* | '[::1]:'*) return 0 ;; esac
	return 1
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

# One socket has many names: {inet:localhost:1,...} is inet:127.0.0.1:1, and local:/QUEUE/p is unix:p.
without() {
	printf '%s\n' "$1" | awk -v gone="$2" -v queue="$(get queue_directory)/" '
		function plain(name) {
			if (name ~ /^[{]/) { sub(/^[{][ \t]*/, "", name); sub(/[ \t,}].*/, "", name) }
			sub(/^local:/, "unix:", name); sub(/^inet:localhost:/, "inet:127.0.0.1:", name)
			if (index(name, "unix:" queue) == 1) name = "unix:" substr(name, length("unix:" queue) + 1)
			sub("^unix:/", "unix:", name)
			return name
		}
		function done() { if (word != "" && plain(word) != gone) { out = out sep word; sep = ", " } word = "" }
		BEGIN { gone = plain(gone) }
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
	has "$(expanded "$1")" "$socket" && return 0
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
	wire_listeners
}

wire_listeners() {
	listeners
	while IFS= read -r line; do
		key=${line%%[ =]*} value=$(own_of -P "${line%%[ =]*}")
		case $key in
		*/smtpd_milters)
			has "$(own_of -Px "$key")" "$socket" && continue
			[ -z "$value" ] && is_way_back "$key" && continue
			printf '%s=%s\n' "$key" "$value" >>"$work/before"
			put_own "$key" "$socket${value:+, $(without "$value" '')}" ;;
		*/milter_default_action)
			[ "$value" = tempfail ] && continue
			printf '%s=%s\n' "$key" "$value" >>"$work/before"
			put_own "$key" tempfail ;;
		esac
	done <"$work/overrides"
}

want() {
	[ "$(get "$1")" = "$2" ] && return 0
	note "$1"
	put "$1" "$2"
}

# --- out
# What somebody else has changed meanwhile stays, but for our own name in it.
unwire() {
	restored=''
	if is_as_written; then restored=yes; fi
	for name in smtpd_milters non_smtpd_milters; do
		value=$(get "$name")
		has "$value" "$socket" && put "$name" "$(without "$value" "$socket")"
	done
	unwire_listeners
	[ -z "$restored" ] && [ -f "$before" ] || return 0
	while IFS= read -r line; do
		name=${line%%=*}
		case $name in
		:*) ;;
		*/smtpd_milters)
			[ "$(without "$(own_of -P "$name")" '')" = "$(without "$(old_of "$line")" '')" ] && put_own "$name" "$(old_of "$line")" ;;
		*/milter_default_action)
			[ "$(own_of -P "$name")" = tempfail ] && put_own "$name" "$(old_of "$line")" ;;
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

unwire_listeners() {
	listeners
	while IFS= read -r line; do
		key=${line%%[ =]*} value=$(own_of -P "${line%%[ =]*}")
		case $key in
		*/smtpd_milters) has "$value" "$socket" && put_own "$key" "$(without "$value" "$socket")" ;;
		esac
	done <"$work/overrides"
	return 0
}

# Nobody has touched what was written: the old files come back as they were, folds and remarks included.
is_as_written() {
	grep '^:sum ' "$before" >"$work/sums" 2>/dev/null || return 1
	while read -r _ file sum copy; do
		[ -f "$copy" ] && [ "$(sha256sum <"$config/$file")" = "$sum  -" ] || return 1
	done <"$work/sums"
	while read -r _ file sum copy; do
		cp -p "$copy" "$work/$file"
	done <"$work/sums"
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

# --- what is not ours to mend
# A setting that stands twice: postconf would write both, each program of Postfix warns of it, and with maillog_file the one
# that writes warnings waits for itself.
refuse_doubles() {
	doubles=$(awk '/^[^#[:space:]].*=/ { name = $0; sub(/[ \t]*=.*/, "", name); if (seen[name]++ == 1) print name }' "$config/main.cf")
	for name in $doubles; do
		case $name in
		smtpd_milters | non_smtpd_milters | milter_default_action | enable_long_queue_ids | internal_mail_filter_classes)
			die "$name stands twice in $config/main.cf, and only the last one counts: take out the other, then come again" ;;
		*) say "Beware: $name stands twice in $config/main.cf; with maillog_file Postfix may hang when it starts." ;;
		esac
	done
}

warn_instances() {
	others=$(get multi_instance_directories)
	[ -z "$others" ] || say "Beware: there are more instances of Postfix, each to be wired by --config: $others"
}

# A Postfix that is wired to nobody lets all its mail wait.
warn_away() {
	path=${socket#unix:}
	case $socket in unix:/*) ;; unix:*) path=$(get queue_directory)/$path ;; *) return 0 ;; esac
	[ -S "$path" ] || say "Beware: there is no socket $path: all mail waits until sekisho-milter listens there (milter.listen)."
}

# --- write
agree() {
	[ -z "$yes" ] || return 0
	[ -t 0 ] || die 'nobody to ask: say --yes'
	printf 'Write this to %s? [y/N] ' "$config"
	read -r answer || return 1
	case $answer in [yY] | [yY][eE][sS]) return 0 ;; esac
	return 1
}

# Beside it, then renamed: Postfix never reads half a file. Where it is a link, the file that it leads to.
install_cf() {
	target=$(readlink -f "$config/$1") || return 1
	if cp -p "$target" "$target.sekisho-new" && cat "$2" >"$target.sekisho-new" && mv -f "$target.sekisho-new" "$target"; then return 0; fi
	rm -f "$target.sekisho-new" 2>/dev/null
	return 1
}

# With a copy of the old one; both files, or neither.
write_all() {
	written=''
	for file in $changed; do
		if cp -p "$config/$file" "$config/$file.sekisho-$stamp" && install_cf "$file" "$work/$file"; then
			written="$written $file"
			printf ':sum %s %s %s\n' "$file" "$(sha256sum <"$config/$file" | cut -d ' ' -f 1)" "$config/$file.sekisho-$stamp" \
				>>"$work/before"
			continue
		fi
		put_back
		rm -f "$config/main.cf.sekisho-$stamp" "$config/master.cf.sekisho-$stamp"
		die "$config/$file cannot be written; nothing was changed"
	done
}

put_back() {
	for old in $written; do install_cf "$old" "$config/$old.sekisho-$stamp"; done
}

: >"$work/before"
[ -n "$remove" ] || refuse_doubles
if [ -n "$remove" ]; then unwire; else wire; fi

changed=''
for file in $files; do
	if [ -f "$config/$file" ] && ! diff -u "$config/$file" "$work/$file" >"$work/diff"; then
		changed="$changed $file"
		sed "1s|.*|--- $config/$file|; 2s|.*|+++ $config/$file|" "$work/diff"
	fi
done
[ -n "$remove" ] || { warn_instances; warn_away; }
if [ -z "$changed" ]; then
	say "Nothing to change in $config/main.cf."
	[ -z "$remove" ] || rm -f "$before"
	exit 0
fi
[ -z "$diff_only" ] || exit 1
agree || die 'nothing was changed'

stamp=$(date +%Y%m%d%H%M%S)
while [ -e "$config/main.cf.sekisho-$stamp" ] || [ -e "$config/master.cf.sekisho-$stamp" ]; do stamp=${stamp}x; done
write_all
if ! postfix -c "$config" check; then
	put_back
	die "postfix check refuses what was written; the old files are back"
fi
if [ -n "$remove" ]; then
	rm -f "$before"
elif [ ! -f "$before" ]; then
	cat "$work/before" >"$before"
fi
for file in $changed; do say "Written. The old file is $config/$file.sekisho-$stamp"; done

if [ -n "$reload" ] && postfix -c "$config" status 2>/dev/null; then
	postfix -c "$config" reload
fi
[ -n "$remove" ] || say 'Now: sekisho doctor'
