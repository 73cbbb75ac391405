#include "milter/tool/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/base/num.h"
#include "milter/record/siphash.h"

#define HEAD_LEN 5

bool reader_address(struct str path, struct sockaddr_un *out, struct err *err)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (path.len == 0 || path.len >= sizeof out->sun_path)
		return err_set(err, ERR_INPUT, "a socket's path has 1 to %zu octets", sizeof out->sun_path - 1);
	memcpy(out->sun_path, path.ptr, path.len);
	return true;
}

bool reader_receive(int fd, void *to, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = recv(fd, (char *)to + got, n - got, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		got += (size_t)r;
	}
	return true;
}

static bool send_all(int fd, const void *octets, size_t n)
{
	size_t sent = 0;

	while (sent < n) {
		ssize_t r = send(fd, (const char *)octets + sent, n - sent, MSG_NOSIGNAL);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		sent += (size_t)r;
	}
	return true;
}

bool reader_send(int fd, char kind, struct str octets)
{
	unsigned char head[HEAD_LEN] = { (unsigned char)kind };

	do {
		struct str piece = str_slice(octets, 0, READER_FRAME_MAX);

		le32_write((uint32_t)piece.len, head + 1);
		if (!send_all(fd, head, sizeof head) || !send_all(fd, piece.ptr, piece.len))
			return false;
		octets = str_from(octets, piece.len);
	} while (octets.len);
	return true;
}

bool reader_take_request(char *room, size_t len, struct reader_request *out)
{
	uint64_t columns;
	size_t at;

	*out = (struct reader_request){ 0 };
	if (len == 0 || room[len - 1] != '\0')
		return false;
	at = strlen(room) + 1;
	if (!num_parse_u64(str_from_c(room), &columns) || columns > 10000)
		return false;
	out->columns = (size_t)columns;
	for (; at < len; at += strlen(room + at) + 1) {
		if (out->count == READER_WORDS_MAX)
			return false;
		out->words[1 + out->count++] = room + at;
	}
	return out->count > 0;
}

/* --- the asking side */

static bool send_request(int fd, char *const *argv, size_t argc, struct err *err)
{
	struct buf request;
	unsigned char head[4];

	buf_init(&request, READER_REQUEST_MAX);
	buf_printf(&request, "%zu", screen_columns());
	buf_add_byte(&request, '\0');
	for (size_t i = 0; i < argc; i++) {
		buf_add_c(&request, argv[i]);
		buf_add_byte(&request, '\0');
	}
	le32_write((uint32_t)request.len, head);
	bool fits = !request.failed && argc <= READER_WORDS_MAX;
	bool ok = fits && send_all(fd, head, sizeof head) && send_all(fd, request.ptr, request.len);

	buf_clear(&request);
	return ok || (fits ? err_errno(err, ERR_BUSY, "asking") : err_set(err, ERR_INPUT, "a command line that is too long"));
}

static int copy_answer(struct tool *tool, int fd, struct str socket)
{
	char *room = malloc(READER_FRAME_MAX);
	unsigned char head[HEAD_LEN];
	int code = -1;

	while (room && code < 0 && reader_receive(fd, head, sizeof head)) {
		size_t len = le32_read(head + 1);

		if (len > READER_FRAME_MAX || !reader_receive(fd, room, len))
			break;
		if (head[0] == 'x' && len == 1)
			code = (unsigned char)room[0];
		else if ((head[0] != 'o' && head[0] != 'e') || fwrite(room, 1, len, head[0] == 'o' ? stdout : stderr) != len)
			break;
	}
	free(room);
	if (code < 0)
		return tool_fail(tool, TOOL_UNKNOWN, STR_FMT ": the answer breaks off", STR_ARG(socket));
	return fflush(stdout) == 0 ? code : TOOL_UNKNOWN;
}

int reader_ask(struct tool *tool, struct str socket_path, char *const *argv, size_t argc)
{
	struct sockaddr_un address;
	struct err err;
	int fd, code;

	if (!reader_address(socket_path, &address, &err))
		return tool_usage(tool, "--via: %s", err.text);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		err_errno(&err, ERR_BUSY, STR_FMT, STR_ARG(socket_path));
		code = tool_fail(tool, TOOL_UNKNOWN, "%s; is `sekisho log serve` running?", err.text);
	} else if (!send_request(fd, argv, argc, &err)) {
		code = tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	} else {
		code = copy_answer(tool, fd, socket_path);
	}
	if (fd >= 0)
		close(fd);
	return code;
}
