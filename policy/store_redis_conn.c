#include "policy/store_redis_conn.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "policy/store_redis_tls.h"

#define RETRY_US (400 * INT64_C(1000))         /* and up to as much again, so that many relays do not come at once */
#define RETRY_WELL_US (10 * INT64_C(1000))     /* when it was well: servers close idle connections, proxies restart */
#define OUT_MAX ((size_t)64 << 20)
#define READ_SIZE 65536
#define ADDRESSES 8                    /* of a name that are tried first in turn */

/* --- addresses */

static bool fits(struct str s, char *out, size_t size)
{
	return s.len > 0 && s.len < size && str_find_byte(s, '\0') == s.len &&
	       snprintf(out, size, STR_FMT, STR_ARG(s)) > 0;
}

static bool parse_host_port(struct str s, struct redis_address *out)
{
	struct str host = s, port = STR("6379"), rest;
	uint64_t number;

	if (str_starts(s, STR("["))) {
		if (!str_cut(str_from(s, 1), ']', &host, &rest) || (rest.len && rest.ptr[0] != ':'))
			return false;
		if (rest.len)
			port = str_from(rest, 1);
	} else {
		str_cut_last(s, ':', &host, &port);
	}
	return num_parse_u64(port, &number) && number > 0 && number < 65536 &&
	       fits(host, out->host, sizeof out->host) && fits(port, out->port, sizeof out->port);
}

bool redis_address_parse(struct str s, struct redis_address *out, struct err *err)
{
	struct redis_address address = { 0 };
	bool ok = fits(s, address.text, sizeof address.text);

	address.is_unix = str_starts(s, STR("unix:"));
	if (address.is_unix)
		ok = ok && fits(str_from(s, 5), address.host, sizeof((struct sockaddr_un *)0)->sun_path);
	else
		ok = ok && parse_host_port(s, &address);
	if (!ok)
		return err_set(err, ERR_CONFIG, "redis address \"" STR_FMT "\": expected host:port or unix:/path",
			       STR_ARG(s));
	*out = address;
	return true;
}

/* --- up and down */

void redis_conn_init(struct redis_conn *conn, const struct redis_address *address,
		     const struct redis_greeting *greeting)
{
	*conn = (struct redis_conn){ .fd = -1, .address = *address, .greeting = greeting };
	conn->last = &conn->first;
	buf_init(&conn->out, OUT_MAX);
}

static void close_files(struct redis_conn *conn)
{
	redis_tls_close(conn);
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	if (conn->reader)
		redisReaderFree(conn->reader);
	conn->reader = NULL;
	buf_clear(&conn->out);
	conn->sent = 0;
	conn->wants_write = false;
}

void redis_conn_fail(struct redis_conn *conn, int64_t now_us, redis_answered *answered, void *arg, const char *fmt, ...)
{
	struct redis_call *call = conn->first, *next;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(conn->why, sizeof conn->why, fmt, ap);
	va_end(ap);
	close_files(conn);
	conn->phase = CONN_DOWN;
	conn->down_us = now_us;
	conn->retry_us = now_us + (conn->has_served ? RETRY_WELL_US : RETRY_US + now_us % RETRY_US);
	conn->first = NULL;
	conn->last = &conn->first;
	conn->under_way = 0;
	for (; call; call = next) {
		next = call->next;
		answered(arg, conn, call, NULL);
	}
	if (conn->has_served)
		conn->why[0] = '\0';
	conn->has_served = false;
}

void redis_conn_clear(struct redis_conn *conn)
{
	close_files(conn);
	conn->phase = CONN_DOWN;
}

static int connect_unix(const struct redis_address *address)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, address->host, strlen(address->host) + 1);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof sun) != 0 && errno != EINPROGRESS) {
		int why = errno;

		close(fd);
		errno = why;
		return -1;
	}
	return fd;
}

/* Any of the addresses may be the one that nobody listens at, and that comes out only later: the next try begins with the
 * next of them. */
static const struct addrinfo *turn_of(const struct addrinfo *list, unsigned int turn)
{
	const struct addrinfo *at = list;

	for (; turn > 0; turn--)
		at = at->ai_next ? at->ai_next : list;
	return at;
}

static int connect_first(const struct addrinfo *list, unsigned int turn)
{
	int one = 1;

	for (const struct addrinfo *at = turn_of(list, turn); at; at = at->ai_next) {
		int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
		if (connect(fd, at->ai_addr, at->ai_addrlen) == 0 || errno == EINPROGRESS)
			return fd;
		int why = errno;

		close(fd);
		errno = why;
	}
	return -1;
}

/* A name is asked for each time it is connected to: it may have moved. Those who wait have deadlines of their own. */
static int connect_inet(const struct redis_address *address, unsigned int turn, const char **out_why)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list;
	int code = getaddrinfo(address->host, address->port, &hints, &list);

	if (code) {
		*out_why = gai_strerror(code);
		return -1;
	}

	int fd = connect_first(list, turn);

	freeaddrinfo(list);
	return fd;
}

static void nobody(void *arg, struct redis_conn *conn, struct redis_call *call, redisReply *reply)
{
	(void)arg;
	(void)conn;
	(void)call;
	(void)reply;
}

void redis_conn_open(struct redis_conn *conn, int64_t now_us)
{
	const char *why = NULL;

	conn->fd = conn->address.is_unix ? connect_unix(&conn->address) : connect_inet(&conn->address, conn->tries++ % ADDRESSES, &why);
	if (conn->fd < 0) {
		redis_conn_fail(conn, now_us, nobody, NULL, "%s", why ? why : strerrordesc_np(errno));
		return;
	}
	conn->reader = redisReaderCreate();
	if (!conn->reader) {
		redis_conn_fail(conn, now_us, nobody, NULL, "out of memory");
		return;
	}
	conn->phase = CONN_CONNECTING;
	conn->deadline_us = clock_mono_us() + conn->greeting->patience_us;
	conn->was_refused = conn->was_short = false;
}

static bool begin_greeting(struct redis_conn *conn)
{
	conn->phase = CONN_GREETING;
	conn->greetings_left = conn->greeting->count;
	buf_add(&conn->out, conn->greeting->bytes);
	if (conn->greetings_left == 0)
		conn->phase = CONN_READY;
	if (conn->out.failed)
		snprintf(conn->why, sizeof conn->why, "out of memory");
	return !conn->out.failed;
}

/* --- bytes out */

void redis_conn_send(struct redis_conn *conn, struct redis_call *call)
{
	if (call->is_asking)
		buf_add(&conn->out, STR("*1\r\n$6\r\nASKING\r\n"));
	buf_add(&conn->out, str_of(call->bytes, call->len));
	call->next = NULL;
	*conn->last = call;
	conn->last = &call->next;
	conn->under_way++;
}

static ssize_t write_some(struct redis_conn *conn)
{
	struct str rest = str_from(buf_view(&conn->out), conn->sent);

	return conn->session ? redis_tls_write(conn, rest) : send(conn->fd, rest.ptr, rest.len, MSG_NOSIGNAL);
}

static bool flush(struct redis_conn *conn)
{
	while (conn->sent < conn->out.len) {
		ssize_t n = write_some(conn);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0)
			return false;
		conn->sent += (size_t)n;
	}
	buf_reset(&conn->out);
	conn->sent = 0;
	return true;
}

/* --- bytes in */

/* False: the connection is no good, and conn->why says why. */
static bool take_greeting(struct redis_conn *conn, redisReply *reply)
{
	bool ok = reply->type != REDIS_REPLY_ERROR;

	conn->was_refused = !ok;
	if (!ok)
		snprintf(conn->why, sizeof conn->why, "%.250s", reply->str);
	freeReplyObject(reply);
	if (ok && --conn->greetings_left == 0) {
		conn->phase = CONN_READY;
		conn->why[0] = '\0';
	}
	return ok;
}

static bool take_reply(struct redis_conn *conn, redisReply *reply, redis_answered *answered, void *arg)
{
	struct redis_call *call = conn->first;

	if (conn->phase == CONN_GREETING)
		return take_greeting(conn, reply);
	if (!call) {
		freeReplyObject(reply);
		snprintf(conn->why, sizeof conn->why, "an answer that nobody asked for");
		return false;
	}
	/* The OK to ASKING comes before the answer itself. */
	if (call->is_asking) {
		call->is_asking = false;
		freeReplyObject(reply);
		return true;
	}
	conn->first = call->next;
	if (!conn->first)
		conn->last = &conn->first;
	conn->under_way--;
	conn->has_served = true;
	answered(arg, conn, call, reply);
	return conn->phase != CONN_DOWN;        /* an answer may say that this server will not do */
}

static bool take_replies(struct redis_conn *conn, redis_answered *answered, void *arg)
{
	for (;;) {
		void *reply = NULL;

		if (redisReaderGetReply(conn->reader, &reply) != REDIS_OK) {
			conn->was_short = conn->reader->err == REDIS_ERR_OOM;
			snprintf(conn->why, sizeof conn->why, "no Redis answer: %.200s", conn->reader->errstr);
			return false;
		}
		if (!reply)
			return true;
		if (!take_reply(conn, reply, answered, arg))
			return false;
	}
}

static bool feed(struct redis_conn *conn, const char *bytes, size_t len)
{
	conn->was_short = redisReaderFeed(conn->reader, bytes, len) != REDIS_OK;
	if (conn->was_short)
		snprintf(conn->why, sizeof conn->why, "no Redis answer: %.200s", conn->reader->errstr);
	else if (conn->reader->len > REDIS_REPLY_MAX)
		snprintf(conn->why, sizeof conn->why, "an answer of more than %zu octets", REDIS_REPLY_MAX);
	else
		return true;
	return false;
}

static bool read_all(struct redis_conn *conn, redis_answered *answered, void *arg)
{
	char bytes[READ_SIZE];

	for (;;) {
		ssize_t n = conn->session ? redis_tls_read(conn, bytes, sizeof bytes)
					  : recv(conn->fd, bytes, sizeof bytes, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0) {
			snprintf(conn->why, sizeof conn->why, "%s",
				 n == 0 ? "the server closed the connection" : strerrordesc_np(errno));
			return false;
		}
		if (!feed(conn, bytes, (size_t)n) || !take_replies(conn, answered, arg))
			return false;
		if ((size_t)n < sizeof bytes && !conn->session)
			return true;
	}
}

/* --- driving */

short redis_conn_events(const struct redis_conn *conn)
{
	if (conn->phase == CONN_DOWN)
		return 0;
	if (conn->phase == CONN_CONNECTING && !conn->session)
		return POLLOUT;
	return (short)(POLLIN | (conn->sent < conn->out.len || conn->wants_write ? POLLOUT : 0));
}

/* True: connected, and the greeting may begin. */
static bool finish_connect(struct redis_conn *conn)
{
	int why = 0;
	socklen_t len = sizeof why;

	if (!conn->session && (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &why, &len) != 0 || why != 0)) {
		snprintf(conn->why, sizeof conn->why, "%s", strerrordesc_np(why ? why : errno));
		return false;
	}
	if (!conn->tls)
		return begin_greeting(conn);

	enum tls_step step = redis_tls_handshake(conn);

	return step == TLS_GOES_ON || (step == TLS_DONE && begin_greeting(conn));
}

static bool drive(struct redis_conn *conn, short revents, redis_answered *answered, void *arg)
{
	if (conn->phase == CONN_CONNECTING && revents && !finish_connect(conn))
		return false;
	if (conn->phase == CONN_CONNECTING)
		return true;
	conn->was_short = conn->out.failed;
	if (conn->was_short) {
		snprintf(conn->why, sizeof conn->why, "out of memory, or more than %zu octets wait to be sent", OUT_MAX);
		return false;
	}
	if (!flush(conn)) {
		snprintf(conn->why, sizeof conn->why, "%s", strerrordesc_np(errno));
		return false;
	}
	return !(revents & (POLLIN | POLLHUP | POLLERR)) || read_all(conn, answered, arg);
}

void redis_conn_drive(struct redis_conn *conn, short revents, int64_t now_us, redis_answered *answered, void *arg)
{
	char why[sizeof conn->why];

	if (conn->phase == CONN_DOWN)
		return;
	if (drive(conn, revents, answered, arg)) {
		if (conn->phase != CONN_READY && now_us > conn->deadline_us)
			redis_conn_fail(conn, now_us, answered, arg, "%s",
					conn->phase == CONN_GREETING ? "connected, but no answer"
								     : "no connection in time");
		return;
	}
	if (conn->phase == CONN_DOWN)
		return;
	snprintf(why, sizeof why, "%s", conn->why);
	redis_conn_fail(conn, now_us, answered, arg, "%s", why);
}
