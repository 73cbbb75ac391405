/*
 * peers - who is connected to a small server. When the house is full, the one who has been there longest without saying
 * anything whole has to go: so those who take their time keep nobody out, however many they are.
 *
 * A timeout does not do that: it begins anew with each octet.
 *
 * Memory   a seat lives from peers_enter to peers_leave; who goes is only shut down (shutdown(2)), and whoever opened
 *          the socket finds that out, calls peers_leave, and closes it, in this order
 * Bounds   peers_max connections; more are in the list only until those who were shut down have left
 * Threads  any
 */
#ifndef SEKISHO_PEERS_H
#define SEKISHO_PEERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct peer_seat {
	struct peer_seat *next, *prev; /* a ring, the longest waiting first */
	int fd;
	bool is_leaving;               /* shut down already, and in no ring */
};

struct peers {
	pthread_mutex_t lock;
	struct peer_seat ring;
	size_t count, max;
};

void peers_init(struct peers *peers, size_t peers_max);
void peers_clear(struct peers *peers);             /* all have left */

/* NULL without memory: then the connection is one that nobody can send away. */
struct peer_seat *peers_enter(struct peers *peers, int fd);
/* It said something whole: it is the last to go. NULL is fine, here and below. */
void peers_heard(struct peers *peers, struct peer_seat *seat);
void peers_leave(struct peers *peers, struct peer_seat *seat);

#endif
