# shellcheck shell=sh
# tool - what the tests of the built sekisho(1) share: a directory of their own, $dir, and a sum of what held, which each
# prints as its last line. Sourced.
tool=${builddir:-.}/sekisho
dir=$(mktemp -d "${TMPDIR:-/tmp}/sekisho-tool.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

bad() {
	failed=$((failed + 1))
	printf '%s: %s\n' "$what" "$1"
	sed 's/^/    out: /' "$dir/out"
	sed 's/^/    err: /' "$dir/err"
}

# holds COMPLAINT COMMAND...: the command succeeds
holds() {
	complaint=$1
	shift
	if "$@"; then passed=$((passed + 1)); else bad "$complaint"; fi
}

# run WANTED-EXIT ARGUMENTS...: leaves stdout and stderr in $dir/out and $dir/err
run() {
	wanted=$1
	shift
	"$tool" "$@" >"$dir/out" 2>"$dir/err"
	got=$?
	what="sekisho $*"
	holds "exit $got, not $wanted" [ "$got" -eq "$wanted" ]
}

# says FILE TEXT: a line of out or err holds it
says() {
	holds "std$1 does not say: $2" grep -qF -- "$2" "$dir/$1"
}

is_narrow() {
	awk 'length($0) > 80 { exit 1 }' "$dir/out" "$dir/err" && ! LC_ALL=C grep -q '[[:cntrl:]]' "$dir/out" "$dir/err"
}

# fits: no line of out or err is wider than 80 columns, and none holds a control character
fits() {
	holds 'wider than 80 columns, or with control characters' is_narrow
}

are_values() {
	grep -q . "$dir/out" && ! grep -qv '^[[{].*[]}]$' "$dir/out"
}

# is_json: each line of out is an object or an array, and there are some
is_json() {
	holds 'no JSON, a value a line' are_values
}

all_begin() {
	[ "$(grep -c "^$1" "$dir/out")" -gt 1 ] && ! grep -qv "^$1" "$dir/out"
}

# lines TEXT: out has more than one, and each begins so
lines() {
	holds "not lines that begin with $1" all_begin "$1"
}

# two_tenants: their configuration, $dir/two.yaml, and its empty directories; how full the disk is, is not asked
two_tenants() {
	mkdir "$dir/state" "$dir/log"
	cat >"$dir/two.yaml" <<END
node: gate1
state_dir: $dir/state
metrics: {listen: none}
relay_log: {dir: $dir/log, key_file: $dir/log.key, operator_key_file: $dir/operator.key, disk_warn: 0}
backup: {dir: $dir/backups}
defaults: {size_max: 25MiB}
plans: {standard: {pool: 10000/day, recipients_max: 100}}
tenants:
  acme:
    plan: standard
    match: [{auth: "*@acme.test"}]
    senders: ["@acme.test"]
    quotas: [{name: hourly, limit: 5/hour, key: sender}]
  ginza: {match: [{client: 192.0.2.0/24}], suspended: true}
END
}

summary() {
	echo "${0##*/}: $passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
