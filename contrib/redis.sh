#!/bin/sh
# redis.sh - several Redis servers on loopback, to see how a relay behaves when they fail: not for production.
set -eu

server=${REDIS_SERVER:-redis-server} cli=${REDIS_CLI:-redis-cli}
dir=${TMPDIR:-/tmp}/sekisho-redis-$(id -u) minutes=60

usage() {
	cat <<END
Usage: contrib/redis.sh [-d DIR] [-t MINUTES] COMMAND

  start sentinel   a master, two replicas, three Sentinels that watch them
  start cluster    a Redis Cluster: three masters, a replica of each
  status           who is who, on which port, under which process id
  stop             end them all and remove DIR

Everything is in DIR ($dir), on free ports of 127.0.0.1, and
ends by itself after MINUTES ($minutes). In DIR, NODE/port and NODE/pid tell what to
connect to and what to kill; NODE/log what it says. "start" prints the lines for
sekisho.yaml. Servers are run by REDIS_SERVER ($server; valkey-server
will do), and asked with REDIS_CLI ($cli).
END
}

die() {
	echo "redis.sh: $*" >&2
	exit 1
}

# A port that nobody answers at, and none of ours has taken.
free_port() {
	while :; do
		port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
		"$cli" -p "$port" ping >/dev/null 2>&1 && continue
		grep -qsx "$port" "$dir"/*/port "$dir"/*/bus || break
	done
	echo "$port"
}

ask() {
	node=$1
	shift
	"$cli" -h 127.0.0.1 -p "$(cat "$dir/$node/port")" "$@"
}

# wait_for WHAT, COMMAND...: until the command succeeds, at most half a minute.
wait_for() {
	what=$1 tries=0
	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || die "waited in vain for $what; see the logs in $dir"
		sleep 0.1
	done
}

answers() {
	[ "$(ask "$1" ping)" = PONG ]
}

# run NODE, WORDS...: a server with these settings, until somebody ends it or its time is up.
run() {
	node=$1
	shift
	timeout -k 5 "${minutes}m" "$server" "$dir/$node/conf" "$@" >"$dir/$node/output" 2>&1 </dev/null &
	wait_for "$node" answers "$node"
}

# node NAME, LINES...: its directory and configuration.
node() {
	name=$1
	mkdir "$dir/$name"
	free_port >"$dir/$name/port"
	shift
	{
		printf 'bind 127.0.0.1\nport %s\ndir %s\npidfile %s\nlogfile %s\n' "$(cat "$dir/$name/port")" \
			"$dir/$name" "$dir/$name/pid" "$dir/$name/log"
		printf '%s\n' "$@"
	} >"$dir/$name/conf"
}

keeps_nothing='save ""
appendonly no
repl-diskless-sync-delay 0'

start_sentinel() {
	node master "$keeps_nothing"
	run master
	for name in replica1 replica2; do
		node $name "$keeps_nothing" "replicaof 127.0.0.1 $(cat "$dir/master/port")"
		run $name
	done
	wait_for 'the replicas' has_replicas
	for name in sentinel1 sentinel2 sentinel3; do
		node $name "sentinel monitor relay 127.0.0.1 $(cat "$dir/master/port") 2" \
			'sentinel down-after-milliseconds relay 2000' 'sentinel failover-timeout relay 6000'
		run $name --sentinel
	done
	for name in sentinel1 sentinel2 sentinel3; do
		wait_for 'the Sentinels to know each other' knows_all $name
	done
	say_settings 'mode: sentinel' 'master: relay' "$(addresses sentinel1 sentinel2 sentinel3)"
}

has_replicas() {
	ask master info replication | grep -q 'connected_slaves:2'
}

knows_all() {
	ask "$1" info sentinel | grep -q 'status=ok.*slaves=2,sentinels=3'
}

start_cluster() {
	nodes='node1 node2 node3 node4 node5 node6'
	for name in $nodes; do
		node "$name" "$keeps_nothing" 'cluster-enabled yes' 'cluster-node-timeout 1000' \
			'cluster-require-full-coverage no' "cluster-config-file $dir/$name/nodes.conf"
		free_port >"$dir/$name/bus"
		echo "cluster-port $(cat "$dir/$name/bus")" >>"$dir/$name/conf"
		run "$name"
	done
	# shellcheck disable=SC2046,SC2086
	"$cli" --cluster create $(for name in $nodes; do echo "127.0.0.1:$(cat "$dir/$name/port")"; done) \
		--cluster-replicas 1 --cluster-yes >"$dir/create" 2>&1 || die "the cluster was not made: $(cat "$dir/create")"
	for name in $nodes; do
		wait_for 'the cluster' is_whole "$name"
	done
	say_settings 'mode: cluster' "$(addresses node1 node2 node3)"
}

# It sees all slots, all nodes, and its replicas have caught up.
is_whole() {
	ask "$1" cluster info | grep -q 'cluster_state:ok' &&
		[ "$(ask "$1" cluster nodes | grep -c 'connected')" = 6 ] &&
		! ask "$1" info replication | grep -q 'master_link_status:down' &&
		[ "$(ask "$1" cluster slots | grep -c '^127.0.0.1$')" -ge 6 ]
}

addresses() {
	list=
	for name; do
		list="$list${list:+, }127.0.0.1:$(cat "$dir/$name/port")"
	done
	echo "addresses: [$list]"
}

say_settings() {
	printf 'store:\n  backend: redis\n  redis:\n'
	printf '    %s\n' "$@"
}

is_ours() {
	[ -r "/proc/$1/cmdline" ] && tr '\0' '\n' <"/proc/$1/cmdline" | grep -qF -e "127.0.0.1:$(cat "$2/port")" -e "$2/conf"
}

status() {
	[ -d "$dir" ] || die "nothing runs in $dir"
	for conf in "$dir"/*/conf; do
		name=${conf%/conf} name=${name##*/}
		pid=$(cat "$dir/$name/pid" 2>/dev/null || echo -)
		role=$(ask "$name" role 2>/dev/null | head -n 1) || role=
		printf '%-10s port %-6s pid %-8s %s\n' "$name" "$(cat "$dir/$name/port")" "$pid" "${role:-down}"
	done
}

stop() {
	[ -d "$dir" ] || return 0
	for pidfile in "$dir"/*/pid; do
		pid=$(cat "$pidfile" 2>/dev/null) || continue
		is_ours "$pid" "${pidfile%/pid}" && kill -KILL "$pid" 2>/dev/null
	done
	rm -rf "$dir"
}

while getopts d:t:h option; do
	case $option in
	d) dir=$OPTARG ;;
	t) minutes=$OPTARG ;;
	h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))

case "${1-} ${2-}" in
'start sentinel' | 'start cluster')
	command -v "$server" >/dev/null || die "$server is not installed (Debian: redis-server, or valkey-server)"
	[ ! -e "$dir" ] || die "$dir is there already: contrib/redis.sh -d $dir stop"
	mkdir -p "$dir"
	trap '[ $? -eq 0 ] || stop' EXIT
	"start_$2"
	;;
'status ') status ;;
'stop ') stop ;;
*) usage >&2; exit 2 ;;
esac
