/*
 * reader - how a tenant's own auditor asks, and how he is answered.
 *
 * Who may read one tenant's records may not read the log's files: there are others' in them. He asks the service of `log serve`
 * over a Unix socket; the kernel says who he is. A connection is one command.
 *
 *   request   u32 octets that follow; words, each with its NUL: columns of his terminal, decimal, then the command line
 *             without the program's name
 *   answer    frames: u8 kind, u32 octets, octets; kind 'o' for standard output, 'e' for standard error, 'x' for the end: one
 *             octet, the exit code
 *
 * Numbers are little endian.
 * Input    either side may be anybody
 * Bounds   READER_REQUEST_MAX, READER_WORDS_MAX, READER_FRAME_MAX
 */
#ifndef SEKISHO_READER_H
#define SEKISHO_READER_H

#include "milter/tool/tool.h"

#define READER_SOCKET "/run/sekisho-reader/reader.sock"
#define READER_REQUEST_MAX ((size_t)64 << 10)
#define READER_WORDS_MAX 64
#define READER_FRAME_MAX ((size_t)1 << 20)

/* Runs the command there; the exit code. */
int reader_ask(struct tool *tool, struct str socket, char *const *argv, size_t argc);

struct sockaddr_un;
bool reader_address(struct str path, struct sockaddr_un *out, struct err *err);
/* All n octets, or false. */
bool reader_receive(int fd, void *to, size_t n);
bool reader_send(int fd, char kind, struct str octets);

/* A request taken apart: the words point into `room`. False: none that we understand. */
struct reader_request {
	size_t columns;
	char *words[READER_WORDS_MAX + 3];     /* a place for the program's name in front, one for a word more, NULL behind */
	size_t count;                          /* without these */
};
bool reader_take_request(char *room, size_t len, struct reader_request *out);

#endif
