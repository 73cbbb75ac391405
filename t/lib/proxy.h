/*
 * proxy - stands between a client and a server on loopback and does to the answers what networks do.
 */
#ifndef SEKISHO_PROXY_H
#define SEKISHO_PROXY_H

#include <pthread.h>
#include <stdatomic.h>

struct proxy {
	pthread_t thread;
	int listener, port, to_port;
	char address[32];              /* "127.0.0.1:PORT" */
	atomic_long cut_after;         /* octets of answers from now on, then the connection breaks; -1: never */
	atomic_int delay_us;           /* before each piece of an answer */
	_Atomic(const char *) says;    /* instead of each piece of an answer; NULL: what the server says */
	_Atomic(const char *) loses;   /* the next question with this in it arrives, its answer does not; NULL again then */
	/* A question with this in it: its client is cut off, and it arrives behind the next one that has it. NULL again then. */
	_Atomic(const char *) holds;
	atomic_bool is_stopping;
};

/* Aborts on failure. */
void proxy_start(struct proxy *proxy, int to_port);
void proxy_stop(struct proxy *proxy);

#endif
