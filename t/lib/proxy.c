#include "t/lib/proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS_MAX 16

#define PIECE_MAX 16384

struct pair {
	int client, server;            /* -1: none */
	bool is_doomed;                /* its next answer is lost, and it with that */
	bool lets_go;                  /* behind its next answer comes what is held */
};

/* A question on its way. */
struct held {
	int server;                    /* -1: none */
	char bytes[PIECE_MAX];
	size_t len;
};

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void hang_up(struct pair *pair)
{
	close(pair->client);
	close(pair->server);
	*pair = (struct pair){ .client = -1, .server = -1 };
}

static void take_client(struct proxy *proxy, struct pair *pairs)
{
	struct sockaddr_in sin = loopback(proxy->to_port);
	int client = accept(proxy->listener, NULL, NULL), server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	for (int i = 0; client >= 0 && i < PAIRS_MAX; i++)
		if (pairs[i].client < 0) {
			pairs[i] = (struct pair){ .client = client, .server = server };
			if (connect(server, (struct sockaddr *)&sin, sizeof sin) != 0)
				hang_up(&pairs[i]);
			return;
		}
	close(client);
	close(server);
}

/* As much of the answer as may pass; false when that was the last. */
static bool pass_answer(struct proxy *proxy, int to, const char *bytes, size_t len)
{
	const char *says = atomic_load(&proxy->says);
	long left = atomic_load(&proxy->cut_after);

	if (says) {
		bytes = says;
		len = strlen(says);
	}
	size_t pass = left >= 0 && (size_t)left < len ? (size_t)left : len;

	if (atomic_load(&proxy->delay_us))
		usleep((useconds_t)atomic_load(&proxy->delay_us));
	if (pass && send(to, bytes, pass, MSG_NOSIGNAL) != (ssize_t)pass)
		return false;
	if (left >= 0)
		atomic_store(&proxy->cut_after, left - (long)pass);
	return pass == len;
}

static bool is_to_be_lost(struct proxy *proxy, const char *bytes, size_t len)
{
	const char *mark = atomic_load(&proxy->loses);

	if (!mark || !memmem(bytes, len, mark, strlen(mark)))
		return false;
	atomic_store(&proxy->loses, NULL);
	return true;
}

static void let_go(struct proxy *proxy, struct held *held)
{
	char answer[PIECE_MAX];

	if (send(held->server, held->bytes, held->len, MSG_NOSIGNAL) != (ssize_t)held->len ||
	    recv(held->server, answer, sizeof answer, 0) <= 0)
		abort();
	close(held->server);
	held->server = -1;
	atomic_store(&proxy->holds, NULL);
}

/* True: it is held, and its pair is no more. */
static bool hold(struct proxy *proxy, struct pair *pair, struct held *held, const char *bytes, size_t len)
{
	const char *mark = atomic_load(&proxy->holds);

	if (!mark || !memmem(bytes, len, mark, strlen(mark)))
		return false;
	pair->lets_go = held->server >= 0;
	if (pair->lets_go)
		return false;
	memcpy(held->bytes, bytes, len);
	held->len = len;
	held->server = pair->server;
	close(pair->client);
	*pair = (struct pair){ .client = -1, .server = -1 };
	return true;
}

static void pass_on(struct proxy *proxy, struct pair *pair, struct held *held, bool is_answer)
{
	char bytes[PIECE_MAX];
	int from = is_answer ? pair->server : pair->client, to = is_answer ? pair->client : pair->server;
	ssize_t n = recv(from, bytes, sizeof bytes, 0);
	bool ok = n > 0;

	if (ok && !is_answer && hold(proxy, pair, held, bytes, (size_t)n))
		return;
	if (ok && !is_answer && is_to_be_lost(proxy, bytes, (size_t)n))
		pair->is_doomed = true;
	if (ok && is_answer)
		ok = !pair->is_doomed && pass_answer(proxy, to, bytes, (size_t)n);
	else if (ok)
		ok = send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n;
	if (ok && is_answer && pair->lets_go) {
		pair->lets_go = false;
		let_go(proxy, held);
	}
	if (!ok)
		hang_up(pair);
}

static void *run(void *arg)
{
	struct proxy *proxy = arg;
	struct held held = { .server = -1 };
	struct pair pairs[PAIRS_MAX];
	struct pollfd fds[1 + 2 * PAIRS_MAX];

	for (int i = 0; i < PAIRS_MAX; i++)
		pairs[i] = (struct pair){ .client = -1, .server = -1 };
	while (!atomic_load(&proxy->is_stopping)) {
		fds[0] = (struct pollfd){ .fd = proxy->listener, .events = POLLIN };
		for (int i = 0; i < PAIRS_MAX; i++) {
			fds[1 + 2 * i] = (struct pollfd){ .fd = pairs[i].client, .events = POLLIN };
			fds[2 + 2 * i] = (struct pollfd){ .fd = pairs[i].server, .events = POLLIN };
		}
		poll(fds, 1 + 2 * PAIRS_MAX, 20);
		for (int i = 0; i < PAIRS_MAX; i++) {
			if (pairs[i].client >= 0 && fds[1 + 2 * i].revents)
				pass_on(proxy, &pairs[i], &held, false);
			if (pairs[i].server >= 0 && fds[2 + 2 * i].revents)
				pass_on(proxy, &pairs[i], &held, true);
		}
		if (fds[0].revents)
			take_client(proxy, pairs);
	}
	for (int i = 0; i < PAIRS_MAX; i++)
		if (pairs[i].client >= 0)
			hang_up(&pairs[i]);
	if (held.server >= 0)
		close(held.server);
	return NULL;
}

void proxy_start(struct proxy *proxy, int to_port)
{
	struct sockaddr_in sin = loopback(0);
	socklen_t len = sizeof sin;

	*proxy = (struct proxy){ .to_port = to_port };
	atomic_init(&proxy->cut_after, -1);
	proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (proxy->listener < 0 || bind(proxy->listener, (struct sockaddr *)&sin, sizeof sin) != 0 ||
	    listen(proxy->listener, 16) != 0 || getsockname(proxy->listener, (struct sockaddr *)&sin, &len) != 0 ||
	    pthread_create(&proxy->thread, NULL, run, proxy) != 0)
		abort();
	proxy->port = ntohs(sin.sin_port);
	snprintf(proxy->address, sizeof proxy->address, "127.0.0.1:%d", proxy->port);
}

void proxy_stop(struct proxy *proxy)
{
	atomic_store(&proxy->is_stopping, true);
	pthread_join(proxy->thread, NULL);
	close(proxy->listener);
}
