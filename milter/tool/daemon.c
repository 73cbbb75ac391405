#include "milter/tool/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/memory.h"
#include "config/base/num.h"

/* --- one HTTP request */

static bool parse_listen(struct str listen, struct sockaddr_in6 *out, struct err *err)
{
	struct str host, port_text;
	struct net_addr addr;
	uint64_t port;

	if (!str_cut_last(listen, ':', &host, &port_text) || !num_parse_u64(port_text, &port) || port > 65535)
		return err_set(err, ERR_CONFIG, "metrics.listen: " STR_FMT " is no address:port", STR_ARG(listen));
	if (str_starts(host, STR("[")) && str_ends(host, STR("]")))
		host = str_slice(host, 1, host.len - 2);
	if (!net_parse_addr(host, &addr))
		return err_set(err, ERR_CONFIG, "metrics.listen: " STR_FMT " is no address", STR_ARG(host));
	*out = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	memcpy(&out->sin6_addr, addr.octets, sizeof out->sin6_addr);
	return true;
}

/* IPv4 is its mapped form here, and the socket of its own family: IPv6 may be off. */
static int connect_to(const struct sockaddr_in6 *to)
{
	struct timeval wait = { .tv_sec = DAEMON_WAIT_S };
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = to->sin6_port };
	bool is_v4 = IN6_IS_ADDR_V4MAPPED(&to->sin6_addr);
	int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	memcpy(&to4.sin_addr, to->sin6_addr.s6_addr + 12, 4);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
	if (connect(fd, is_v4 ? (const void *)&to4 : to, is_v4 ? sizeof to4 : sizeof *to) == 0)
		return fd;

	int why = errno;

	close(fd);
	errno = why;
	return -1;
}

static bool exchange(int fd, const char *page, struct buf *answer, struct err *err)
{
	unsigned long shortages = memory_shortages();
	char request[128];
	int len = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", page);
	ssize_t n;

	if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		return err_errno(err, ERR_BUSY, "asking");
	do {
		if (!buf_reserve(answer, 4096))
			return memory_shortages() != shortages
				       ? err_memory(err)
				       : err_set(err, ERR_BUSY, "an answer of more than %zu octets", DAEMON_ANSWER_MAX);
		n = recv(fd, answer->ptr + answer->len, 4096, 0);
		if (n > 0)
			answer->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0 || err_errno(err, ERR_BUSY, "its answer");
}

static bool parse_answer(struct str answer, json_t **out, struct err *err)
{
	size_t body = str_find(answer, STR("\r\n\r\n"));
	json_error_t why;

	if (!str_starts(answer, STR("HTTP/1.")) || !str_eq(str_slice(answer, 8, 5), STR(" 200 ")) || body == answer.len)
		return err_set(err, ERR_BUSY, "the answer is not that of sekisho-milter");
	*out = json_loadb(answer.ptr + body + 4, answer.len - body - 4, 0, &why);
	if (!*out || !str_eq(daemon_str(*out, "program"), STR("sekisho-milter"))) {
		json_decref(*out);
		return err_set(err, ERR_BUSY, "the answer is not that of sekisho-milter");
	}
	return true;
}

bool daemon_ask(const struct config *config, const char *page, json_t **out, struct err *err)
{
	struct sockaddr_in6 to;
	struct buf answer;
	bool ok;
	int fd;

	if (config->metrics_listen.len == 0)
		return err_set(err, ERR_CONFIG, "it cannot be asked: metrics.listen is none");
	if (!parse_listen(config->metrics_listen, &to, err))
		return false;
	fd = connect_to(&to);
	if (fd < 0)
		return err_errno(err, ERR_BUSY, STR_FMT, STR_ARG(config->metrics_listen));
	buf_init(&answer, DAEMON_ANSWER_MAX);
	ok = (exchange(fd, page, &answer, err) && parse_answer(buf_view(&answer), out, err)) ||
	     err_wrap(err, STR_FMT, STR_ARG(config->metrics_listen));
	buf_clear(&answer);
	close(fd);
	return ok;
}

/* --- its process */

static bool read_small(const char *path, char *out, size_t size, struct str *out_text, struct err *err)
{
	struct buf buf;
	struct str text;
	bool ok;

	buf_init(&buf, 4096);
	ok = io_read_file(path, &buf, err) && buf_done(&buf, &text, err);
	if (ok) {
		text = str_slice(str_trim(text), 0, size);
		memcpy(out, text.ptr, text.len);
		*out_text = str_of(out, text.len);
	}
	buf_clear(&buf);
	return ok;
}

bool daemon_pid(const struct config *config, pid_t *out, struct err *err)
{
	char path[PATH_MAX], room[64];
	struct str text;
	uint64_t pid;

	if (snprintf(path, sizeof path, STR_FMT, STR_ARG(config->pid_file)) >= (int)sizeof path)
		return err_set(err, ERR_CONFIG, "pid_file is too long");
	if (!read_small(path, room, sizeof room, &text, err))
		return false;
	if (!num_parse_u64(text, &pid) || pid == 0 || pid > INT32_MAX)
		return err_set(err, ERR_BUSY, "%s holds no process id", path);
	/* Another program may have that number by now; its name is cut to 15 octets. */
	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	if (!read_small(path, room, sizeof room, &text, NULL) || !str_starts(STR("sekisho-milter"), text) || text.len < 14)
		return err_set(err, ERR_BUSY, "no sekisho-milter runs as process %d, which " STR_FMT " names", (int)pid,
			       STR_ARG(config->pid_file));
	*out = (pid_t)pid;
	return true;
}

bool daemon_is_hidden(const struct config *config)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof path, STR_FMT, STR_ARG(config->pid_file)) < (int)sizeof path && access(path, R_OK) != 0 &&
	       errno == EACCES;
}

/* --- its answer */

const json_t *daemon_member(const json_t *object, const char *path)
{
	struct str rest = str_from_c(path), name;
	char key[64];

	while (object && str_next(&rest, '.', &name)) {
		snprintf(key, sizeof key, STR_FMT, STR_ARG(name));
		object = json_object_get(object, key);
	}
	return object;
}

int64_t daemon_i64(const json_t *object, const char *path)
{
	return (int64_t)json_integer_value(daemon_member(object, path));
}

struct str daemon_str(const json_t *object, const char *path)
{
	const json_t *value = daemon_member(object, path);

	return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value)) : STR_EMPTY;
}
