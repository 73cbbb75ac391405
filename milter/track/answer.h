/*
 * answer - one request to the endpoint, and what is said to it. Knows no HTTP library.
 *
 *   GET /o/TOKEN   the smallest transparent picture, always; counted when the token is good
 *   GET /c/TOKEN   302 to the exact destination; 404 for what is no link of ours, 410 for one that has expired or was
 *                  taken out of use
 *   GET /u/TOKEN   asks; POST does it (RFC 8058), and answers when it is stored; counted once, until it is undone
 *   HEAD           answers as GET does, and never counts
 *
 * Nobody is ever led where no token of ours leads, and only to http and https. A store that cannot be asked stops no
 * redirect: people reach what they clicked on. Without memory, or while a new key cannot be read, the answer is 503, and
 * no request is called a bad one; a hit that cannot be counted then is said to be lost.
 *
 * Input    hostile; bounded by whoever reads it from the network
 * Threads  any; the tracker is shared
 */
#ifndef SEKISHO_ANSWER_H
#define SEKISHO_ANSWER_H

#include <pthread.h>

#include "config/net.h"
#include "milter/token_ring.h"
#include "milter/track/deny.h"
#include "milter/track/hit.h"

enum track_method { TRACK_GET = 1, TRACK_HEAD, TRACK_POST, TRACK_OTHER };

struct track_request {
	enum track_method method;
	bool is_doubtful;              /* others may read another request in it: refused, and the last of its connection */
	struct str path, host;         /* host as the field has it, a port included */
	struct str lang;               /* of ?lang= */
	struct str accept_language, user_agent;
	bool is_prefetch;              /* a field says that nobody looks yet */
	struct net_addr client;
	bool has_client;
	struct str body;               /* of a POST, as much as is looked at */
};

struct track_answer {
	unsigned status;
	const char *type;              /* NULL: no body */
	struct str body, location;
	const char *allow;             /* of a 405 */
	bool closes;                   /* the connection */
	bool is_counted;
	bool is_lost;                  /* what could not be read or kept may have been a hit */
	struct hit hit;                /* its strings live in the arena */
};

/* The last click of a message's reader: another link within two seconds is no person's. */
struct track_click {
	uint64_t whose;
	uint16_t link;
	int64_t time_us;
};
#define TRACK_CLICKS 4096

struct tracker {
	struct store *store;
	struct token_ring *tokens;
	struct deny_cache denied;
	pthread_mutex_t lock;          /* over `clicks` */
	struct track_click clicks[TRACK_CLICKS];
};

void tracker_init(struct tracker *tracker, struct store *store, struct token_ring *tokens);
void tracker_clear(struct tracker *tracker);

/* What each pixel is answered with; its octets are static. */
void track_answer_pixel(struct track_answer *out);

/* Never fails: what goes wrong is an answer too. */
void track_answer(struct tracker *tracker, const struct config *config, const struct track_request *request,
		  struct arena *arena, struct track_answer *out);

#endif
