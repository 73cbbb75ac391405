#include "milter/listener.h"

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/num.h"

/* Descriptors that are not sessions: log files, store, metrics, standard ones. */
#define FILES_RESERVED 64

static char spec[512];
static struct sockaddr_storage address;
static _Atomic socklen_t address_len;  /* 0: not known yet, or not found; written last */

void listener_name(struct str listen)
{
	snprintf(spec, sizeof spec, STR_FMT, STR_ARG(listen));
}

const char *listener_spec(void)
{
	return spec;
}

static const char *unix_path(void)
{
	return strncmp(spec, "unix:", 5) == 0 ? spec + 5 : NULL;
}

bool listener_clear(struct err *err)
{
	return !unix_path() || io_remove_socket(unix_path(), err) || err_wrap(err, "milter.listen");
}

/* At the limit libmilter's accept loop would spin in silence, so sessions stop before it. */
int64_t listener_room(int64_t sessions)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return sessions;

	rlim_t need = (rlim_t)sessions + FILES_RESERVED, with_spools = need + (rlim_t)sessions;

	limit.rlim_cur = with_spools < limit.rlim_max ? with_spools : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= need)
		return sessions;

	int64_t room = limit.rlim_cur > 2 * FILES_RESERVED ? (int64_t)limit.rlim_cur - FILES_RESERVED : FILES_RESERVED;

	log_warn("only %llu descriptors allowed (RLIMIT_NOFILE): at most %lld sessions, not %lld", (unsigned long long)limit.rlim_cur,
		 (long long)room, (long long)sessions);
	return room;
}

static bool set_access(const struct config *config, struct err *err)
{
	const char *path = unix_path();
	char name[256];

	if (!path)
		return true;
	if (chmod(path, (mode_t)config->socket_mode) != 0)
		return err_errno(err, ERR_CONFIG, "milter.socket_mode: %s", path);
	if (config->socket_group.len == 0)
		return true;
	snprintf(name, sizeof name, STR_FMT, STR_ARG(config->socket_group));

	struct group *group = getgrnam(name);

	if (!group)
		return err_set(err, ERR_CONFIG, "milter.socket_group: there is no group %s on this host", name);
	if (chown(path, (uid_t)-1, group->gr_gid) != 0)
		return err_errno(err, ERR_CONFIG, "milter.socket_group: %s to group %s", path, name);
	return true;
}

/* Does this socket listen where our address says? libmilter keeps its own to itself. */
static bool is_ours(int fd, struct sockaddr_storage *out, socklen_t *out_len)
{
	const struct sockaddr_un *local = (const void *)out;
	const struct sockaddr_in *v4 = (const void *)out;    /* the port of IPv6 is at the same place */
	struct str port = STR_EMPTY, host;
	uint64_t number = 0;
	int listens = 0;
	socklen_t len = sizeof listens;

	*out_len = sizeof *out;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0 || !listens ||
	    getsockname(fd, (struct sockaddr *)out, out_len) != 0)
		return false;
	if (out->ss_family == AF_UNIX)
		return unix_path() && strcmp(local->sun_path, unix_path()) == 0;
	str_cut(str_from_c(spec), ':', &host, &port);
	str_cut(port, '@', &port, &host);
	return num_parse_u64(port, &number) && ntohs(v4->sin_port) == number;
}

/*
 * libmilter answers end of message in two writes; over TCP the second would wait for the MTA's delayed ACK, 40 ms.
 * Connections inherit TCP_NODELAY from the socket that listens.
 */
static void find(void)
{
	const int on = 1;

	for (int fd = 0; fd < FILES_RESERVED; fd++) {
		socklen_t len;

		if (!is_ours(fd, &address, &len))
			continue;
		atomic_store(&address_len, len);
		if (address.ss_family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
			log_warn("%s: answers will be slow (TCP_NODELAY: %s)", spec, strerrordesc_np(errno));
		return;
	}
}

bool listener_prepare(const struct config *config, struct err *err)
{
	find();
	return set_access(config, err);
}

void listener_knock(void)
{
	socklen_t len = atomic_load(&address_len);
	int fd = len ? socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&address, len) != 0 && errno != EINPROGRESS)
		log_debug("%s: nobody answers any more", spec);
	close(fd);
}

void listener_remove(void)
{
	if (unix_path())
		unlink(unix_path());
}
