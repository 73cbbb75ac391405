/* httpload - GETs at an HTTP server over connections that stay: how many a second. Paths come from stdin, one a line. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "config/base/buf.h"
#include "config/base/num.h"

#define CONNECTIONS 64
#define PATHS_MAX 100000

static const char usage_text[] = "usage: httpload PORT HOST SECONDS < PATHS\n";

static char *requests[PATHS_MAX];      /* whole ones, ready to be sent */
static size_t request_count, next_request;

struct peer {
	int fd;
	char answer[4096];
	size_t len;
};

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void read_paths(const char *host)
{
	char line[2048];

	while (request_count < PATHS_MAX && fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (asprintf(&requests[request_count++],
			     "GET %s HTTP/1.1\r\nHost: %s\r\n"
			     "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\r\n",
			     line, host) < 0)
			fail("memory");
	}
}

static void ask(struct peer *peer)
{
	const char *request = requests[next_request++ % request_count];

	peer->len = 0;
	if (write(peer->fd, request, strlen(request)) != (ssize_t)strlen(request))
		fail("write");
}

/* Is the answer whole? All that are asked for here have the length of one picture. */
static bool is_whole(const struct peer *peer)
{
	static const struct str field = STR_INIT("Content-Length: ");
	struct str answer = str_of(peer->answer, peer->len);
	size_t head = str_find(answer, STR("\r\n\r\n")), at = str_find(answer, field);
	struct str length;
	uint64_t octets;

	if (head == answer.len)
		return false;
	length = str_from(answer, at + field.len);
	if (at > head || !num_parse_u64(str_slice(length, 0, str_find_byte(length, '\r')), &octets)) {
		fprintf(stderr, "no length in: %.200s\n", peer->answer);
		exit(EXIT_FAILURE);
	}
	return answer.len >= head + 4 + octets;
}

static void peer_open(struct peer *peer, int poll, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };

	peer->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(peer->fd, (struct sockaddr *)&address, sizeof address) != 0)
		fail("connect");
	epoll_ctl(poll, EPOLL_CTL_ADD, peer->fd, &event);
	ask(peer);
}

static bool take(struct peer *peer)
{
	ssize_t n = read(peer->fd, peer->answer + peer->len, sizeof peer->answer - 1 - peer->len);

	if (n <= 0)
		fail("read");
	peer->len += (size_t)n;
	peer->answer[peer->len] = '\0';
	if (!is_whole(peer))
		return false;
	ask(peer);
	return true;
}

int main(int argc, char **argv)
{
	static struct peer peers[CONNECTIONS];
	struct epoll_event events[CONNECTIONS];
	uint64_t port, seconds, answers = 0;
	double begin, spent;
	int poll;

	if (argc != 4 || !num_parse_u64(str_from_c(argv[1]), &port) || port > UINT16_MAX ||
	    !num_parse_u64(str_from_c(argv[3]), &seconds)) {
		fputs(usage_text, stderr);
		return 2;
	}
	read_paths(argv[2]);
	poll = epoll_create1(0);
	begin = now();
	for (size_t i = 0; i < CONNECTIONS; i++)
		peer_open(&peers[i], poll, (uint16_t)port);
	do {
		int ready = epoll_wait(poll, events, CONNECTIONS, 1000);

		for (int i = 0; i < ready; i++)
			answers += take(events[i].data.ptr);
	} while ((spent = now() - begin) < (double)seconds);
	printf("{\"answers\": %" PRIu64 ", \"per_second\": %.0f}\n", answers, (double)answers / spent);
	return EXIT_SUCCESS;
}
