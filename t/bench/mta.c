#include "t/bench/mta.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "t/bench/wire.h"

const char *const mta_outcome_names[MTA_OUTCOME_COUNT] = {
	"accepted", "held", "deferred", "rejected", "discarded", "broken",
};

#define BODY_CHUNK 65535
#define OUT_MAX ((size_t)1 << 20)
#define IN_MAX ((size_t)1 << 20)

/* The stages of a message, in the order in which an MTA comes to them. */
enum stage {
	STAGE_CONNECT, STAGE_HELO,     /* once a connection */
	STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_HEADER, STAGE_EOH, STAGE_BODY, STAGE_EOM,
	STAGE_COUNT
};

static const struct { char command; uint32_t unwanted, silent; } stages[STAGE_COUNT] = {
	[STAGE_CONNECT] = { 'C', 0x1, 0x1000 },  [STAGE_HELO] = { 'H', 0x2, 0x2000 },
	[STAGE_MAIL] = { 'M', 0x4, 0x4000 },     [STAGE_RCPT] = { 'R', 0x8, 0x8000 },
	[STAGE_DATA] = { 'T', 0x200, 0x10000 },  [STAGE_HEADER] = { 'L', 0x20, 0x80 },
	[STAGE_EOH] = { 'N', 0x40, 0x40000 },    [STAGE_BODY] = { 'B', 0x10, 0x80000 },
	[STAGE_EOM] = { 'E', 0, 0 },
};

static const struct { const char *name, *value; } headers[] = {
	{ "Date", "Sat, 21 Nov 2026 18:04:05 +0900" },
	{ "From", "Load <load@tenant.test>" },
	{ "To", "Somebody <somebody@recipient.test>" },
	{ "Subject", "one of many" },
	{ "Message-ID", "<one.of.many@tenant.test>" },
};
#define HEADER_COUNT (sizeof(headers) / sizeof *headers)

struct peer {
	int fd;
	size_t number;
	enum stage stage;
	size_t index;                  /* of the recipient, header or body octet within the stage */
	size_t refused;                /* recipients of this message */
	bool is_waiting, is_held, is_done, is_watched_for_room;
	uint32_t steps;
	int64_t eom_us;
	int64_t due_us;                /* when its next message may begin */
	struct buf out, in;
	size_t out_at, in_at;          /* done with up to here */
};

struct crew {                          /* one thread's share */
	const struct mta_options *options;
	struct peer *peers;
	size_t peer_count, open_count;
	size_t messages_left;          /* not begun: whichever connection is ready takes the next */
	int epoll;
	int64_t end_us;
	struct mta_result result;
	size_t latency_size;
	pthread_t thread;
	pthread_barrier_t *start;
	struct err err;
	bool ok;
};

/* "user#@tenant#" with the number of the tenant. */
static void add_numbered(struct buf *out, struct str text, size_t number)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] == '#')
			buf_printf(out, "%zu", number);
		else
			buf_add_byte(out, text.ptr[i]);
}

static void add_macro(struct buf *out, const char *name, struct str value)
{
	buf_add_c(out, name);
	buf_add_byte(out, '\0');
	buf_add(out, value);
	buf_add_byte(out, '\0');
}

/* The macros an MTA tells before a command; body and header have none. */
static void put_macros(const struct crew *crew, struct peer *peer)
{
	size_t at, tenant = peer->number % crew->options->tenants;

	if (peer->stage >= STAGE_HEADER && peer->stage != STAGE_EOM)
		return;
	at = wire_begin(&peer->out, 'D');
	buf_add_byte(&peer->out, stages[peer->stage].command);
	if (peer->stage == STAGE_CONNECT) {
		add_macro(&peer->out, "j", STR("load.sekisho.test"));
		add_macro(&peer->out, "{daemon_name}", STR("load"));
	} else if (peer->stage == STAGE_MAIL) {
		add_macro(&peer->out, "{auth_type}", STR("PLAIN"));
		buf_add(&peer->out, STR("{auth_authen}\0"));
		add_numbered(&peer->out, crew->options->login, tenant);
		buf_add_byte(&peer->out, '\0');
		add_macro(&peer->out, "{client_addr}", STR("192.0.2.1"));
	} else if (peer->stage != STAGE_HELO && peer->stage != STAGE_RCPT) {
		add_macro(&peer->out, "i", STR("4Load000000"));
	}
	wire_end(&peer->out, at);
}

static void put_body_chunk(const struct crew *crew, struct peer *peer)
{
	static const char line[] = "The quick brown fox jumps over the lazy dog, and the gate stays where it is\r\n";
	size_t left = crew->options->size - peer->index, n = left < BODY_CHUNK ? left : BODY_CHUNK;

	for (size_t done = 0; done < n;) {
		size_t part = n - done < sizeof(line) - 1 ? n - done : sizeof(line) - 1;

		buf_add(&peer->out, str_of(line, part));
		done += part;
	}
	peer->index += n;
}

/* One command of the current stage; `index` moves on. */
static void put_command(const struct crew *crew, struct peer *peer)
{
	size_t at = wire_begin(&peer->out, stages[peer->stage].command), tenant = peer->number % crew->options->tenants;

	switch (peer->stage) {
	case STAGE_CONNECT:
		buf_add(&peer->out, STR("client.sekisho.test\0" "4" "\x30\x39" "192.0.2.1\0"));
		break;
	case STAGE_HELO:
		buf_add(&peer->out, STR("client.sekisho.test\0"));
		break;
	case STAGE_MAIL:
		buf_add_byte(&peer->out, '<');
		add_numbered(&peer->out, crew->options->sender, tenant);
		buf_add(&peer->out, STR(">\0"));
		break;
	case STAGE_RCPT:
		buf_printf(&peer->out, "<r%zu@recipient.test>", peer->index);
		buf_add_byte(&peer->out, '\0');
		break;
	case STAGE_HEADER:
		add_macro(&peer->out, headers[peer->index].name, str_from_c(headers[peer->index].value));
		break;
	case STAGE_BODY:
		put_body_chunk(crew, peer);
		break;
	default:
		break;
	}
	wire_end(&peer->out, at);
	if (peer->stage != STAGE_BODY)
		peer->index++;
}

static size_t stage_length(const struct crew *crew, enum stage stage)
{
	return stage == STAGE_RCPT ? crew->options->recipients :
	       stage == STAGE_HEADER ? HEADER_COUNT :
	       stage == STAGE_BODY ? crew->options->size : 1;
}

static void enter_stage(struct peer *peer, enum stage stage)
{
	peer->stage = stage;
	peer->index = 0;
}

static void peer_close(struct crew *crew, struct peer *peer)
{
	if (peer->is_done)
		return;
	peer->is_done = true;
	crew->open_count--;
	close(peer->fd);
}

static void begin_message(struct crew *crew, struct peer *peer)
{
	enter_stage(peer, STAGE_MAIL);
	peer->refused = 0;
	peer->is_held = false;
	if (crew->messages_left == 0 || clock_mono_us() > crew->end_us) {
		size_t at = wire_begin(&peer->out, 'Q');

		wire_end(&peer->out, at);
		wire_flush(peer->fd, &peer->out, &peer->out_at);
		peer_close(crew, peer);
		return;
	}
	crew->messages_left--;
}

static void end_message(struct crew *crew, struct peer *peer, enum mta_outcome outcome)
{
	crew->result.outcomes[outcome]++;
	begin_message(crew, peer);
}

/* Gives up a message before its end, as an MTA does after a refusal. */
static void abort_message(struct crew *crew, struct peer *peer, enum mta_outcome outcome)
{
	size_t at = wire_begin(&peer->out, 'A');

	wire_end(&peer->out, at);
	end_message(crew, peer, outcome);
}

/* Paced messages begin when they are due, whatever became of the one before. */
static bool is_early(const struct crew *crew, struct peer *peer)
{
	if (crew->options->pace_us == 0 || peer->stage != STAGE_MAIL || peer->index > 0)
		return false;
	if (clock_mono_us() < peer->due_us)
		return true;
	peer->due_us += crew->options->pace_us;
	return false;
}

/* Puts commands into `out` until one wants an answer, then writes. */
static void peer_push(struct crew *crew, struct peer *peer)
{
	while (!peer->is_done && !peer->is_waiting && !is_early(crew, peer)) {
		if (peer->index >= stage_length(crew, peer->stage) || (peer->steps & stages[peer->stage].unwanted)) {
			enter_stage(peer, peer->stage + 1);
			if (peer->stage == STAGE_MAIL)
				begin_message(crew, peer);
			continue;
		}
		if (peer->index == 0 || peer->stage == STAGE_RCPT)
			put_macros(crew, peer);
		put_command(crew, peer);
		peer->is_waiting = !(peer->steps & stages[peer->stage].silent);
		if (peer->stage == STAGE_EOM)
			peer->eom_us = clock_mono_us();
	}
	if (!peer->is_done && !wire_flush(peer->fd, &peer->out, &peer->out_at))
		end_message(crew, peer, MTA_BROKEN), peer_close(crew, peer);
}

static void note_refusal(struct crew *crew, struct str text)
{
	if (crew->result.first_refusal[0] == '\0' && text.len > 0) {
		size_t n = text.len < sizeof(crew->result.first_refusal) ? text.len : sizeof(crew->result.first_refusal) - 1;

		memcpy(crew->result.first_refusal, text.ptr, n);
		crew->result.first_refusal[n] = '\0';
	}
}

static void note_latency(struct crew *crew, const struct peer *peer)
{
	int64_t us = clock_mono_us() - peer->eom_us;

	if (crew->result.latency_count < crew->latency_size)
		crew->result.latency_us[crew->result.latency_count++] = (uint32_t)(us < UINT32_MAX ? us : UINT32_MAX);
}

/* What a packet of the milter means for the message; MTA_OUTCOME_COUNT: go on. */
static enum mta_outcome outcome_of(char command, struct str payload)
{
	switch (command) {
	case 'c': case 's':
		return MTA_OUTCOME_COUNT;
	case 'a':
		return MTA_ACCEPTED;
	case 'd':
		return MTA_DISCARDED;
	case 'r':
		return MTA_REJECTED;
	case 't':
		return MTA_DEFERRED;
	case 'y':
		return payload.len > 0 && payload.ptr[0] == '5' ? MTA_REJECTED : MTA_DEFERRED;
	default:
		return MTA_BROKEN;
	}
}

static void on_verdict(struct crew *crew, struct peer *peer, char command, struct str payload)
{
	enum mta_outcome outcome = outcome_of(command, payload);

	peer->is_waiting = false;
	if (outcome == MTA_REJECTED || outcome == MTA_DEFERRED)
		note_refusal(crew, payload);
	if (peer->stage == STAGE_EOM) {
		note_latency(crew, peer);
		if (outcome == MTA_OUTCOME_COUNT)
			outcome = MTA_ACCEPTED;
		end_message(crew, peer, outcome == MTA_ACCEPTED && peer->is_held ? MTA_HELD : outcome);
	} else if (outcome == MTA_OUTCOME_COUNT) {
		if (command == 's')
			peer->index = stage_length(crew, peer->stage);
	} else if (peer->stage == STAGE_RCPT && (outcome == MTA_REJECTED || outcome == MTA_DEFERRED)) {
		crew->result.recipients_refused++;
		if (++peer->refused == crew->options->recipients)
			abort_message(crew, peer, outcome);
	} else {
		abort_message(crew, peer, outcome);
	}
}

static void peer_read(struct crew *crew, struct peer *peer)
{
	char command;
	struct str payload;

	if (!wire_fill(peer->fd, &peer->in)) {
		end_message(crew, peer, MTA_BROKEN);
		peer_close(crew, peer);
		return;
	}
	while (!peer->is_done && wire_next(&peer->in, &peer->in_at, &command, &payload)) {
		if (command == 'q')
			peer->is_held = true;
		else if (!memchr("hibmepl+-2", command, 10))
			on_verdict(crew, peer, command, payload);
	}
	if (!peer->is_done)
		peer_push(crew, peer);
}

/* Wakes for room only while something waits to be written. */
static void peer_watch(struct crew *crew, struct peer *peer)
{
	bool needs_room = peer->out.len > 0;
	struct epoll_event event = { .events = EPOLLIN | (needs_room ? (uint32_t)EPOLLOUT : 0u), .data.ptr = peer };

	if (peer->is_done || needs_room == peer->is_watched_for_room)
		return;
	peer->is_watched_for_room = needs_room;
	epoll_ctl(crew->epoll, EPOLL_CTL_MOD, peer->fd, &event);
}

static bool peer_open(struct crew *crew, struct peer *peer, struct err *err)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };
	struct mta_offer offer = { 0 };

	buf_init(&peer->out, OUT_MAX);
	buf_init(&peer->in, IN_MAX);
	peer->fd = wire_connect(crew->options->socket, err);
	if (peer->fd < 0)
		return false;
	crew->open_count++;
	if (!wire_negotiate(peer->fd, &offer, err))
		return false;
	peer->steps = offer.steps;
	buf_clear(&offer.symbols);
	if (fcntl(peer->fd, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(crew->epoll, EPOLL_CTL_ADD, peer->fd, &event) < 0)
		return err_errno(err, ERR_BUSY, "connection %zu", peer->number);
	return true;
}

static bool crew_open(struct crew *crew)
{
	crew->messages_left = crew->latency_size = crew->peer_count * crew->options->messages;
	crew->result.latency_us = calloc(crew->latency_size, sizeof(uint32_t));
	crew->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!crew->result.latency_us || crew->epoll < 0)
		return err_memory(&crew->err);
	for (size_t i = 0; i < crew->peer_count; i++)
		if (!peer_open(crew, &crew->peers[i], &crew->err))
			return false;
	return true;
}

static void push_all(struct crew *crew)
{
	for (size_t i = 0; i < crew->peer_count; i++)
		if (!crew->peers[i].is_done && !crew->peers[i].is_waiting) {
			peer_push(crew, &crew->peers[i]);
			peer_watch(crew, &crew->peers[i]);
		}
}

static void crew_work(struct crew *crew)
{
	struct epoll_event events[64];
	int64_t patience_us = 60 * INT64_C(1000000), pace_us = crew->options->pace_us;

	for (size_t i = 0; i < crew->peer_count; i++)
		crew->peers[i].due_us = clock_mono_us() + pace_us * (int64_t)i / (int64_t)crew->peer_count;
	push_all(crew);
	while (crew->open_count > 0 && clock_mono_us() < crew->end_us + patience_us) {
		int n = epoll_wait(crew->epoll, events, 64, pace_us > 0 ? 1 : 1000);

		for (int i = 0; i < n; i++) {
			struct peer *peer = events[i].data.ptr;

			if (peer->is_done)
				continue;
			if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				peer_read(crew, peer);
			else
				peer_push(crew, peer);
			peer_watch(crew, peer);
		}
		if (pace_us > 0)
			push_all(crew);
	}
}

static void *crew_main(void *arg)
{
	struct crew *crew = arg;
	int64_t begin_us;

	crew->ok = crew_open(crew);
	pthread_barrier_wait(crew->start);
	begin_us = clock_mono_us();
	crew->end_us = begin_us + crew->options->limit_us;
	if (crew->ok)
		crew_work(crew);
	crew->result.elapsed_us = clock_mono_us() - begin_us;
	for (size_t i = 0; i < crew->peer_count; i++) {
		crew->result.outcomes[MTA_BROKEN] += crew->ok && !crew->peers[i].is_done;
		if (crew->peers[i].fd >= 0)
			peer_close(crew, &crew->peers[i]);
		buf_clear(&crew->peers[i].out);
		buf_clear(&crew->peers[i].in);
	}
	if (crew->epoll >= 0)
		close(crew->epoll);
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool merge(struct crew *crews, size_t count, struct mta_result *out, struct err *err)
{
	size_t total = 0;

	*out = (struct mta_result){ 0 };
	for (size_t i = 0; i < count; i++)
		total += crews[i].result.latency_count;
	out->latency_us = calloc(total + 1, sizeof(uint32_t));
	if (!out->latency_us)
		return err_memory(err);
	for (size_t i = 0; i < count; i++) {
		struct mta_result *part = &crews[i].result;

		for (size_t k = 0; k < MTA_OUTCOME_COUNT; k++)
			out->outcomes[k] += part->outcomes[k];
		out->recipients_refused += part->recipients_refused;
		out->elapsed_us = part->elapsed_us > out->elapsed_us ? part->elapsed_us : out->elapsed_us;
		memcpy(out->latency_us + out->latency_count, part->latency_us, part->latency_count * sizeof(uint32_t));
		out->latency_count += part->latency_count;
		if (out->first_refusal[0] == '\0')
			memcpy(out->first_refusal, part->first_refusal, sizeof(out->first_refusal));
	}
	qsort(out->latency_us, out->latency_count, sizeof(uint32_t), by_size);
	return true;
}

bool mta_probe(struct str socket, struct mta_offer *out, struct err *err)
{
	int fd = wire_connect(socket, err);
	bool ok = fd >= 0 && wire_negotiate(fd, out, err);

	if (fd >= 0)
		close(fd);
	return ok;
}

bool mta_run(const struct mta_options *options, struct mta_result *out, struct err *err)
{
	struct crew crews[MTA_THREADS_MAX] = { 0 };
	struct peer *peers = calloc(options->connections, sizeof *peers);
	pthread_barrier_t start;
	size_t share = options->connections / options->threads;
	bool ok = true;

	if (!peers)
		return err_memory(err);
	for (size_t i = 0; i < options->connections; i++)
		peers[i] = (struct peer){ .fd = -1, .number = i };
	pthread_barrier_init(&start, NULL, (unsigned)options->threads);
	for (size_t i = 0; i < options->threads; i++) {
		crews[i] = (struct crew){ .options = options, .peers = peers + i * share, .epoll = -1, .start = &start,
					  .peer_count = i + 1 < options->threads ? share : options->connections - i * share };
		if (pthread_create(&crews[i].thread, NULL, crew_main, &crews[i]) != 0)
			abort();               /* a thread that waits at the barrier cannot be called back */
	}
	for (size_t i = 0; i < options->threads; i++)
		pthread_join(crews[i].thread, NULL);
	pthread_barrier_destroy(&start);
	for (size_t i = 0; i < options->threads && ok; i++) {
		ok = crews[i].ok;
		if (!ok && err)
			*err = crews[i].err;
	}
	ok = ok && merge(crews, options->threads, out, err);
	for (size_t i = 0; i < options->threads; i++)
		mta_result_clear(&crews[i].result);
	free(peers);
	return ok;
}

void mta_result_clear(struct mta_result *result)
{
	free(result->latency_us);
	result->latency_us = NULL;
	result->latency_count = 0;
}
