#include "t/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/base/num.h"
#include "t/bench/mta.h"

#define PROTOCOL_VERSION 6
#define ACTIONS_ALL 0x1ff
#define STEPS_ALL 0x1fffff
#define STAGES 7                       /* macro stages a milter may name: connect to end of header */

static void put_u32(char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (char)(value >> (24 - 8 * i));
}

static uint32_t get_u32(const char *at)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value = value << 8 | (unsigned char)at[i];
	return value;
}

static int connect_unix(struct str path, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (path.len >= sizeof(addr.sun_path))
		return err_set(err, ERR_CONFIG, "path of %zu octets is too long for a socket", path.len), -1;
	memcpy(addr.sun_path, path.ptr, path.len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err_errno(err, ERR_BUSY, "unix:%s", addr.sun_path);
	if (fd >= 0)
		close(fd);
	return -1;
}

static int connect_inet(struct str rest, struct err *err)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	struct str port = rest, host = STR("127.0.0.1");
	char text[INET_ADDRSTRLEN] = "";
	uint64_t number;
	int fd, on = 1;

	str_cut(rest, '@', &port, &host);
	if (!num_parse_u64(port, &number) || number > 65535 || host.len >= sizeof(text))
		return err_set(err, ERR_CONFIG, "inet:" STR_FMT ": want port@address", STR_ARG(rest)), -1;
	memcpy(text, host.ptr, host.len);
	addr.sin_port = htons((uint16_t)number);
	if (inet_pton(AF_INET, text, &addr.sin_addr) != 1)
		return err_set(err, ERR_CONFIG, "%s: not an IPv4 address", text), -1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		return fd;
	}
	err_errno(err, ERR_BUSY, "%s port %u", text, (unsigned)number);
	if (fd >= 0)
		close(fd);
	return -1;
}

int wire_connect(struct str spec, struct err *err)
{
	if (str_starts(spec, STR("unix:")))
		return connect_unix(str_from(spec, 5), err);
	if (str_starts(spec, STR("inet:")))
		return connect_inet(str_from(spec, 5), err);
	return err_set(err, ERR_CONFIG, STR_FMT ": want unix:/path or inet:port@host", STR_ARG(spec)), -1;
}

size_t wire_begin(struct buf *out, char command)
{
	size_t at = out->len;

	buf_add(out, STR("\0\0\0\0"));
	buf_add_byte(out, command);
	return at;
}

void wire_end(struct buf *out, size_t at)
{
	if (!out->failed)
		put_u32(out->ptr + at, (uint32_t)(out->len - at - 4));
}

bool wire_flush(int fd, struct buf *out, size_t *at)
{
	while (!out->failed && *at < out->len) {
		ssize_t n = send(fd, out->ptr + *at, out->len - *at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		*at += (size_t)n;
	}
	*at = 0;
	if (out->failed)
		return false;
	buf_reset(out);
	return true;
}

bool wire_fill(int fd, struct buf *in)
{
	ssize_t n;

	if (!buf_reserve(in, 16384))
		return false;
	do
		n = recv(fd, in->ptr + in->len, 16384, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK;
	in->len += (size_t)n;
	return n > 0;
}

bool wire_next(struct buf *in, size_t *at, char *out_command, struct str *out_payload)
{
	size_t have = in->len - *at, need;

	if (have == 0) {
		buf_reset(in);
		*at = 0;
	}
	if (have < 5)
		return false;
	need = get_u32(in->ptr + *at);
	if (need == 0 || have - 4 < need)
		return false;
	*out_command = in->ptr[*at + 4];
	*out_payload = str_of(in->ptr + *at + 5, need - 1);
	*at += 4 + need;
	return true;
}

/* After version, actions and steps: pairs of a stage and a list of macro names that ends in NUL. */
static void read_symbols(struct str rest, struct buf *out)
{
	while (rest.len > 4) {
		uint32_t stage = get_u32(rest.ptr);
		struct str names = str_from(rest, 4);
		size_t end = str_find_byte(names, '\0');

		if (stage >= STAGES || end == names.len)
			return;
		buf_printf(out, "%u:", stage);
		buf_add(out, str_slice(names, 0, end));
		buf_add_byte(out, '\n');
		rest = str_from(names, end + 1);
	}
}

bool wire_negotiate(int fd, struct mta_offer *out, struct err *err)
{
	struct buf out_buf, in_buf;
	struct str payload;
	char command, numbers[12];
	size_t at, sent = 0, seen = 0;
	bool got = false;

	buf_init(&out_buf, 64);
	buf_init(&in_buf, (size_t)1 << 16);
	put_u32(numbers, PROTOCOL_VERSION);
	put_u32(numbers + 4, ACTIONS_ALL);
	put_u32(numbers + 8, STEPS_ALL);
	at = wire_begin(&out_buf, 'O');
	buf_add(&out_buf, str_of(numbers, sizeof(numbers)));
	wire_end(&out_buf, at);
	if (wire_flush(fd, &out_buf, &sent))
		while (!(got = wire_next(&in_buf, &seen, &command, &payload)) && wire_fill(fd, &in_buf))
			;
	got = got && command == 'O' && payload.len >= 12;
	if (got) {
		*out = (struct mta_offer){ .version = get_u32(payload.ptr), .actions = get_u32(payload.ptr + 4),
					   .steps = get_u32(payload.ptr + 8) };
		buf_init(&out->symbols, (size_t)1 << 16);
		read_symbols(str_from(payload, 12), &out->symbols);
	} else {
		err_set(err, ERR_BUSY, "the milter does not negotiate");
	}
	buf_clear(&out_buf);
	buf_clear(&in_buf);
	return got;
}
