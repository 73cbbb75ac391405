/* httpbare - libmicrohttpd answering the pixel with the endpoint's fields and nothing else: what sekisho-track is held against. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/num.h"

static char pixel[43] = "GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\1D\0;";

static enum MHD_Result answer(void *arg, struct MHD_Connection *peer, const char *path, const char *method, const char *version,
			      const char *upload, size_t *upload_size, void **state)
{
	static const struct { const char *name, *value; } rows[] = {
		{ "Cache-Control", "no-store, private" }, { "Referrer-Policy", "no-referrer" },
		{ "X-Robots-Tag", "noindex, nofollow" },  { "X-Content-Type-Options", "nosniff" },
		{ "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
					     "frame-ancestors 'none'" },
		{ "Content-Type", "image/gif" },
	};
	static char seen;
	struct MHD_Response *response;
	enum MHD_Result result;

	(void)arg, (void)path, (void)method, (void)version, (void)upload, (void)upload_size;
	if (!*state) {                  /* whoever answers before the request is whole ends its connection */
		*state = &seen;
		return MHD_YES;
	}
	response = MHD_create_response_from_buffer(sizeof pixel, pixel, MHD_RESPMEM_PERSISTENT);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		MHD_add_response_header(response, rows[i].name, rows[i].value);
	result = MHD_queue_response(peer, 200, response);
	MHD_destroy_response(response);
	return result;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t port;

	if (argc != 2 || !num_parse_u64(str_from_c(argv[1]), &port) || port > UINT16_MAX) {
		fputs("usage: httpbare PORT\n", stderr);
		return 2;
	}
	address.sin_port = htons((uint16_t)port);
	if (!MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL, MHD_OPTION_SOCK_ADDR,
			      (struct sockaddr *)&address, MHD_OPTION_THREAD_POOL_SIZE, cores < 1 ? 1u : cores > 4 ? 4u : (unsigned)cores,
			      MHD_OPTION_CONNECTION_LIMIT, 1024u, MHD_OPTION_END)) {
		perror("httpbare");
		return EXIT_FAILURE;
	}
	for (;;)
		pause();
}
