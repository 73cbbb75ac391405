#include "milter/peers.h"

#include <stdlib.h>
#include <sys/socket.h>

void peers_init(struct peers *peers, size_t peers_max)
{
	*peers = (struct peers){ .max = peers_max };
	pthread_mutex_init(&peers->lock, NULL);
	peers->ring.next = peers->ring.prev = &peers->ring;
}

void peers_clear(struct peers *peers)
{
	pthread_mutex_destroy(&peers->lock);
}

static void put_last(struct peers *peers, struct peer_seat *seat)
{
	seat->next = &peers->ring;
	seat->prev = peers->ring.prev;
	seat->prev->next = seat->next->prev = seat;
	peers->count++;
}

static void take_out(struct peers *peers, struct peer_seat *seat)
{
	seat->prev->next = seat->next;
	seat->next->prev = seat->prev;
	peers->count--;
}

struct peer_seat *peers_enter(struct peers *peers, int fd)
{
	struct peer_seat *seat = calloc(1, sizeof *seat);

	if (!seat)
		return NULL;
	seat->fd = fd;
	pthread_mutex_lock(&peers->lock);
	put_last(peers, seat);
	while (peers->count > peers->max) {
		struct peer_seat *first = peers->ring.next;

		take_out(peers, first);
		first->is_leaving = true;
		shutdown(first->fd, SHUT_RDWR);     /* under the lock: it cannot leave, so its number is still its own */
	}
	pthread_mutex_unlock(&peers->lock);
	return seat;
}

void peers_heard(struct peers *peers, struct peer_seat *seat)
{
	if (!seat)
		return;
	pthread_mutex_lock(&peers->lock);
	if (!seat->is_leaving) {
		take_out(peers, seat);
		put_last(peers, seat);
	}
	pthread_mutex_unlock(&peers->lock);
}

void peers_leave(struct peers *peers, struct peer_seat *seat)
{
	if (!seat)
		return;
	pthread_mutex_lock(&peers->lock);
	if (!seat->is_leaving)
		take_out(peers, seat);
	pthread_mutex_unlock(&peers->lock);
	free(seat);
}
