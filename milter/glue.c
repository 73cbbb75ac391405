#include "milter/glue.h"

#include <errno.h>
#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "milter/listener.h"
#include "milter/mail/address.h"
#include "milter/session.h"
#include "milter/workers.h"

/* What changing a message needs, asked for only where some tenant tracks. */
#define REWRITE_FLAGS (SMFIF_CHGHDRS | SMFIF_CHGBODY)
/* And what return paths need: a sender of our own, a bounce that goes on to somebody else. */
#define READDRESS_FLAGS (SMFIF_CHGFROM | SMFIF_ADDRCPT | SMFIF_DELRCPT)

/* One connection of the MTA: libmilter's private pointer. */
struct front {
	struct session *session;
	unsigned long no_reply;        /* which callbacks must answer SMFIS_NOREPLY, as negotiated */
};

static struct gate *gate;
static int64_t sessions_max;
static _Atomic int busy;               /* callbacks at work */
static _Atomic bool is_closing;

/* Each callback counts itself, so that glue_drain can wait for the last one. A callback that begins once we are closing
 * must not touch what is about to be freed. */
static bool enter(void)
{
	atomic_fetch_add(&busy, 1);
	if (!atomic_load(&is_closing))
		return true;
	atomic_fetch_sub(&busy, 1);
	return false;
}

static sfsistat leave(sfsistat answer)
{
	atomic_fetch_sub(&busy, 1);
	return answer;
}

static sfsistat quiet(const struct front *front, unsigned long callback)
{
	return front->no_reply & callback ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static struct str macro(SMFICTX *ctx, const char *name)
{
	return str_from_c(smfi_getsymval(ctx, (char *)(uintptr_t)name));
}

static struct session_macros read_macros(SMFICTX *ctx)
{
	return (struct session_macros){
		.queue_id = macro(ctx, "i"),
		.auth_authen = macro(ctx, "{auth_authen}"),
		.daemon_name = macro(ctx, "{daemon_name}"),
		.tls_version = macro(ctx, "{tls_version}"),
		.verify = macro(ctx, "{verify}"),
		.cert_subject = macro(ctx, "{cert_subject}"),
		.cert_issuer = macro(ctx, "{cert_issuer}"),
	};
}

/* libmilter wants '%' doubled, and drops a text whose class does not fit the answer, or that has 8-bit octets (reply.c sees
 * to those two). */
static sfsistat refuse(SMFICTX *ctx, const struct reply *reply)
{
	char code[4], text[2 * REPLY_TEXT_MAX + 1];
	size_t at = 0;

	for (const char *c = reply->text; *c; c++) {
		text[at++] = *c;
		if (*c == '%')
			text[at++] = '%';
	}
	text[at] = '\0';
	snprintf(code, sizeof code, "%03u", (unsigned)reply->code % 1000u);
	if (smfi_setreply(ctx, code, (char *)(uintptr_t)reply->enhanced, text) != MI_SUCCESS)
		log_warn("the MTA will use its own words for: %s %s %s", code, reply->enhanced, reply->text);
	return reply->code >= 500 ? SMFIS_REJECT : SMFIS_TEMPFAIL;
}

static sfsistat answer_of(SMFICTX *ctx, enum session_answer answer, const struct reply *reply)
{
	if (answer == SESSION_DISCARD)
		return SMFIS_DISCARD;
	return answer == SESSION_REPLY ? refuse(ctx, reply) : SMFIS_CONTINUE;
}

/* Macros by stage. Both MTAs take our list in place of their own. */
static const struct {
	int stage;
	const char *names;
} wanted_macros[] = {
	{ SMFIM_CONNECT, "{daemon_name}" },
	{ SMFIM_HELO, "{tls_version}" },
	{ SMFIM_ENVFROM, "i {auth_authen} {daemon_name} {tls_version} {verify} {cert_subject} {cert_issuer}" },
	{ SMFIM_ENVRCPT, "i" },
	{ SMFIM_DATA, "i" },
	{ SMFIM_EOM, "i" },
};

static bool accepts_one_more(void)
{
	static _Atomic int64_t warned_us;

	if (metrics_read(METRIC_SESSIONS) < sessions_max)
		return true;
	if (clock_mono_us() - atomic_load(&warned_us) > 10 * US_PER_S) {
		atomic_store(&warned_us, clock_mono_us());
		log_warn("%lld sessions are open, the most that milter.sessions_max and the descriptor limit allow; new ones wait",
			 (long long)sessions_max);
	}
	return false;
}

static struct session_abilities abilities_of(const struct config *config, unsigned long can_do)
{
	return (struct session_abilities){
		.sees_body = config->needs_body,
		.can_rewrite = config->needs_rewrite && (can_do & REWRITE_FLAGS) == REWRITE_FLAGS,
		.can_readdress = config->needs_return_path && (can_do & READDRESS_FLAGS) == READDRESS_FLAGS,
	};
}

static void front_free(struct front *front)
{
	if (!front)
		return;
	session_free(front->session);
	free(front);
}

/* NULL: out of memory. */
static struct front *front_new(const struct session_abilities *abilities)
{
	struct front *front = calloc(1, sizeof *front);

	if (!front)
		return NULL;
	front->session = session_new(gate, abilities);
	if (front->session)
		return front;
	free(front);
	return NULL;
}

static sfsistat negotiate(SMFICTX *ctx, unsigned long can_do, unsigned long can_skip, unsigned long f2, unsigned long f3,
			  unsigned long *out_do, unsigned long *out_skip, unsigned long *out_f2, unsigned long *out_f3)
{
	const unsigned long needed = SMFIF_ADDHDRS | SMFIF_QUARANTINE;
	const unsigned long no_reply = SMFIP_NR_CONN | SMFIP_NR_HELO | SMFIP_NR_HDR | SMFIP_NR_EOH | SMFIP_NR_BODY;

	(void)f2;
	(void)f3;
	if (!enter())
		return SMFIS_REJECT;
	if ((can_do & needed) != needed || !(can_skip & SMFIP_NODATA)) {
		log_error("this MTA cannot add headers, quarantine or ask at DATA; Postfix 2.5 and Sendmail 8.14 can");
		return leave(SMFIS_REJECT);
	}
	if (!accepts_one_more())
		return leave(SMFIS_REJECT);

	struct config *config = config_acquire();
	const struct session_abilities abilities = abilities_of(config, can_do);
	struct front *front = front_new(&abilities);

	config_release(config);
	if (!front || smfi_setpriv(ctx, front) != MI_SUCCESS) {
		front_free(front);
		return leave(SMFIS_REJECT);
	}
	front->no_reply = can_skip & no_reply;
	*out_do = needed | (can_do & SMFIF_SETSYMLIST);
	*out_do |= abilities.can_rewrite ? REWRITE_FLAGS : 0;
	*out_do |= abilities.can_readdress ? READDRESS_FLAGS : 0;
	*out_do |= gate->submit.is_open ? can_do & SMFIF_CHGHDRS : 0;
	*out_skip = can_skip & (no_reply | SMFIP_NOUNKNOWN);
	*out_skip |= abilities.sees_body ? 0 : can_skip & SMFIP_NOBODY;
	*out_f2 = *out_f3 = 0;
	for (size_t i = 0; (can_do & SMFIF_SETSYMLIST) && i < sizeof wanted_macros / sizeof *wanted_macros; i++)
		smfi_setsymlist(ctx, wanted_macros[i].stage, (char *)(uintptr_t)wanted_macros[i].names);
	return leave(SMFIS_CONTINUE);
}

/* No address, port 0 on loopback (Postfix' cleanup): made or taken on this host, not over the network. */
static bool is_local_peer(const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	if (!address)
		return true;
	return (address->sa_family == AF_INET && v4->sin_port == 0 && v4->sin_addr.s_addr == htonl(INADDR_LOOPBACK)) ||
	       (address->sa_family == AF_INET6 && v6->sin6_port == 0 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr));
}

/* The session's `front`. Without one, or once we are closing, the callback answers `otherwise` and touches nothing. */
#define FRONT_OR(ctx, otherwise)                     \
	struct front *front = smfi_getpriv(ctx);     \
	if (!front || !enter())                      \
		return otherwise

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
	struct net_addr client;

	(void)host;
	FRONT_OR(ctx, SMFIS_TEMPFAIL);
	bool has_address = address && net_addr_from_sockaddr(address, &client);

	session_connect(front->session, has_address ? &client : NULL, is_local_peer(address));
	return leave(quiet(front, SMFIP_NR_CONN));
}

static sfsistat on_helo(SMFICTX *ctx, char *helo)
{
	FRONT_OR(ctx, SMFIS_TEMPFAIL);
	session_helo(front->session, str_from_c(helo));
	return leave(quiet(front, SMFIP_NR_HELO));
}

#define PARAMS_MAX 32

static sfsistat on_mail(SMFICTX *ctx, char **argv)
{
	struct session_macros macros = read_macros(ctx);
	struct str params[PARAMS_MAX];
	size_t count = 0;
	struct reply reply;

	FRONT_OR(ctx, SMFIS_TEMPFAIL);
	for (char **arg = argv + 1; *argv && *arg && count < PARAMS_MAX; arg++)
		params[count++] = str_from_c(*arg);

	enum session_answer answer = session_mail(front->session, str_from_c(*argv), params, count, &macros, &reply);

	return leave(answer_of(ctx, answer, &reply));
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv)
{
	struct reply reply;

	FRONT_OR(ctx, SMFIS_TEMPFAIL);
	enum session_answer answer = session_rcpt(front->session, str_from_c(*argv), &reply);

	return leave(answer_of(ctx, answer, &reply));
}

static void begin_wait(void)
{
	if (workers_begin_wait(metrics_read(METRIC_SESSIONS), clock_mono_us()))
		listener_knock();
}

static sfsistat on_data(SMFICTX *ctx)
{
	struct session_macros macros = read_macros(ctx);
	struct reply reply;

	FRONT_OR(ctx, SMFIS_TEMPFAIL);
	begin_wait();

	enum session_answer answer = session_data(front->session, &macros, &reply);

	workers_end_wait();
	return leave(answer_of(ctx, answer, &reply));
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	FRONT_OR(ctx, SMFIS_TEMPFAIL);
	session_header(front->session, str_from_c(name), str_from_c(value));
	return leave(quiet(front, SMFIP_NR_HDR));
}

/*
 * Asked for though there is nothing to do: libmilter takes no way from DATA past the headers but this one, and leaves the
 * MTA without an answer at the end of a message that has none.
 */
static sfsistat on_headers_end(SMFICTX *ctx)
{
	FRONT_OR(ctx, SMFIS_TEMPFAIL);
	return leave(quiet(front, SMFIP_NR_EOH));
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *chunk, size_t len)
{
	FRONT_OR(ctx, SMFIS_TEMPFAIL);
	session_body(front->session, str_of((const char *)chunk, len));
	return leave(quiet(front, SMFIP_NR_BODY));
}

#define FIELD_MAX 65536

/* libmilter wants C strings. */
static bool change_field(SMFICTX *ctx, const struct rewrite_field *field)
{
	char name[128], value[FIELD_MAX];

	if (field->name.len >= sizeof name || field->value.len >= sizeof value)
		return false;
	snprintf(name, sizeof name, "%.*s", (int)field->name.len, field->name.ptr);
	snprintf(value, sizeof value, "%.*s", (int)field->value.len, field->value.ptr);
	if (field->action == HEADER_ADD)
		return smfi_addheader(ctx, name, value) == MI_SUCCESS;
	return smfi_chgheader(ctx, name, (int)field->nth, field->action == HEADER_REMOVE ? NULL : value) == MI_SUCCESS;
}

/* Backwards: whether an MTA counts fields that are gone is its own affair, those before them it counts alike. */
static bool remove_all(SMFICTX *ctx, struct str name, size_t count)
{
	struct rewrite_field field = { .action = HEADER_REMOVE, .name = name, .nth = count };

	for (; field.nth > 0; field.nth--)
		if (!change_field(ctx, &field))
			return false;
	return true;
}

static bool change_header(SMFICTX *ctx, const struct session_changes *changes)
{
	if (!remove_all(ctx, STR(SUBMIT_HEADER), changes->submit_count) ||
	    !remove_all(ctx, STR(REWRITE_STEER_HEADER), changes->steer_count))
		return false;
	for (size_t i = changes->field_count; i-- > 0;)
		if (changes->fields[i].action != HEADER_ADD && !change_field(ctx, &changes->fields[i]))
			return false;
	for (size_t i = 0; i < changes->field_count; i++)
		if (changes->fields[i].action == HEADER_ADD && !change_field(ctx, &changes->fields[i]))
			return false;
	return true;
}

/* Brackets as in SMTP: both MTAs find "<a@b>" again, however the client wrote it. */
static bool tell_address(int (*tell)(SMFICTX *ctx, char *address), SMFICTX *ctx, struct str address)
{
	char bracketed[ADDRESS_MAX + 3];

	if (address.len == 0)
		return true;
	if (address.len > ADDRESS_MAX)
		return false;
	snprintf(bracketed, sizeof bracketed, "<" STR_FMT ">", STR_ARG(address));
	return tell(ctx, bracketed) == MI_SUCCESS;
}

/* Without arguments the MTA keeps what the client said with MAIL: ENVID and RET among it. */
static int change_sender(SMFICTX *ctx, char *address)
{
	return smfi_chgfrom(ctx, address, NULL);
}

static bool change_envelope(SMFICTX *ctx, const struct envelope *e)
{
	return tell_address(change_sender, ctx, e->sender) && tell_address(smfi_delrcpt, ctx, e->drop) &&
	       tell_address(smfi_addrcpt, ctx, e->add);
}

/* In one unbroken run: Postfix fails the mail when anything comes between. */
static bool replace_body(SMFICTX *ctx, struct session *session)
{
	struct str chunk;

	while (session_next_chunk(session, &chunk))
		if (smfi_replacebody(ctx, (unsigned char *)(uintptr_t)chunk.ptr, (int)chunk.len) != MI_SUCCESS)
			return false;
	return true;
}

/* False: the MTA did not take a change that the record speaks of; it gets no "accepted" for what it has. */
static bool pass_on(SMFICTX *ctx, struct session *session, const struct session_changes *changes)
{
	const char *id = changes->record_id.ptr;

	if (changes->record_id.len &&
	    smfi_addheader(ctx, (char *)(uintptr_t)SESSION_RECORD_HEADER, (char *)(uintptr_t)id) != MI_SUCCESS)
		log_warn("the MTA took no header for record %s", id);
	if ((!changes->envelope || change_envelope(ctx, changes->envelope)) && change_header(ctx, changes) &&
	    (!changes->has_body || replace_body(ctx, session)))
		return true;
	log_error("the MTA took not all changes of record %s; the message is deferred", id);
	return false;
}

#define TURN_WAIT_US (4 * US_PER_S)    /* Sendmail's patience between two signs of life is 10 s */
#define TURN_WAITS_MAX 50              /* and for all of end of message 5 min */

static void await_turn(SMFICTX *ctx, struct session *session)
{
	for (int i = 0; i < TURN_WAITS_MAX && !session_take_turn(session, TURN_WAIT_US); i++)
		if (smfi_progress(ctx) != MI_SUCCESS)
			return;
}

static sfsistat on_eom(SMFICTX *ctx)
{
	struct session_macros macros = read_macros(ctx);
	struct session_changes changes;
	struct reply reply;

	FRONT_OR(ctx, SMFIS_TEMPFAIL);
	begin_wait();
	await_turn(ctx, front->session);

	enum session_answer answer = session_eom(front->session, &macros, &changes, &reply);

	workers_end_wait();

	bool ok = answer == SESSION_DISCARD || pass_on(ctx, front->session, &changes);

	session_done(front->session);
	if (ok && answer == SESSION_HOLD && smfi_quarantine(ctx, reply.text) != MI_SUCCESS) {
		log_error("the MTA would not hold record %s; the message is deferred", changes.record_id.ptr);
		ok = false;
	}
	return leave(ok ? answer_of(ctx, answer, &reply) : SMFIS_TEMPFAIL);
}

static sfsistat on_abort(SMFICTX *ctx)
{
	FRONT_OR(ctx, SMFIS_CONTINUE);
	session_abort(front->session);
	return leave(SMFIS_CONTINUE);
}

/* Peers that never said what they can do have no front. */
static sfsistat on_close(SMFICTX *ctx)
{
	FRONT_OR(ctx, SMFIS_CONTINUE);
	smfi_setpriv(ctx, NULL);
	front_free(front);
	return leave(SMFIS_CONTINUE);
}

static const struct smfiDesc description = {
	.xxfi_name = (char *)(uintptr_t) "sekisho",
	.xxfi_version = SMFI_VERSION,
	.xxfi_flags = SMFIF_ADDHDRS | SMFIF_QUARANTINE | REWRITE_FLAGS | READDRESS_FLAGS,
	.xxfi_connect = on_connect,
	.xxfi_helo = on_helo,
	.xxfi_envfrom = on_mail,
	.xxfi_envrcpt = on_rcpt,
	.xxfi_header = on_header,
	.xxfi_eoh = on_headers_end,
	.xxfi_body = on_body,
	.xxfi_eom = on_eom,
	.xxfi_abort = on_abort,
	.xxfi_close = on_close,
	.xxfi_data = on_data,
	.xxfi_negotiate = negotiate,
};

bool glue_open(struct gate *shared, const struct config *config, struct err *err)
{
	gate = shared;
	listener_name(config->listen);
	sessions_max = listener_room(config->sessions_max);
	if (smfi_register(description) != MI_SUCCESS || smfi_setconn((char *)(uintptr_t)listener_spec()) != MI_SUCCESS)
		return err_set(err, ERR_CONFIG, "milter.listen: libmilter does not take %s", listener_spec());
	if (!listener_clear(err))
		return false;

	/* Nobody connects before the mode is what the configuration says. */
	mode_t old = umask(0177);
	errno = 0;
	bool ok = smfi_opensocket(true) == MI_SUCCESS;

	umask(old);
	if (!ok && errno == 0)          /* it did not come so far as to ask the system */
		return err_set(err, ERR_CONFIG, "milter.listen: libmilter cannot open %s; the system's log says why", listener_spec());
	if (!ok)
		return err_errno(err, ERR_CONFIG, "milter.listen: %s", listener_spec());
	return listener_prepare(config, err);
}

/* --- its end */

static pthread_mutex_t end_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t end_came = PTHREAD_COND_INITIALIZER;
static bool has_ended, is_given_up;    /* under end_lock, as is the result */
static int result = MI_FAILURE;

static void *serve(void *arg)
{
	int ended_with = smfi_main();

	pthread_mutex_lock(&end_lock);
	has_ended = true;
	result = ended_with;
	pthread_cond_broadcast(&end_came);
	pthread_mutex_unlock(&end_lock);
	return arg;
}

/*
 * libmilter serves in a thread of its own, because it may never come back: told to stop, it destroys the lock of its
 * workers while one of them may hold it, and then waits for that lock for ever (3 stops in 8 under load and
 * ThreadSanitizer). What is left to do at the end does not need it.
 */
bool glue_run(struct err *err)
{
	pthread_t thread;
	int why = pthread_create(&thread, NULL, serve, NULL);

	if (why != 0)
		return err_set(err, ERR_BUSY, "thread for libmilter: %s", strerrordesc_np(why));
	pthread_detach(thread);
	pthread_mutex_lock(&end_lock);
	while (!has_ended && !is_given_up)
		pthread_cond_wait(&end_came, &end_lock);

	bool ok = !has_ended || result == MI_SUCCESS;

	if (!has_ended)
		log_warn("libmilter does not end; it is left behind");
	pthread_mutex_unlock(&end_lock);
	return ok || err_set(err, ERR_BUSY, "libmilter ended; its reason is in the system log");
}

static bool is_over(void)
{
	pthread_mutex_lock(&end_lock);

	bool is = has_ended;

	pthread_mutex_unlock(&end_lock);
	return is;
}

static void give_up(void)
{
	pthread_mutex_lock(&end_lock);
	is_given_up = true;
	pthread_cond_broadcast(&end_came);
	pthread_mutex_unlock(&end_lock);
}

static void *stop_main(void *arg)
{
	smfi_stop();
	return arg;
}

#define KNOCK_NS 10000000L
#define KNOCKS_MAX 600                 /* longer than libmilter waits for connections at a time */

/* smfi_stop itself waits for a lock that libmilter holds while it waits for connections, five seconds at a time. A
 * connection makes it look up: so one thread asks, and this one knocks until it was heard. */
void glue_stop(void)
{
	const struct timespec pause = { .tv_nsec = KNOCK_NS };
	pthread_t thread;

	if (pthread_create(&thread, NULL, stop_main, NULL) == 0)
		pthread_detach(thread);
	else
		smfi_stop();
	for (int i = 0; i < KNOCKS_MAX && !is_over(); i++) {
		nanosleep(&pause, NULL);
		listener_knock();
	}
	give_up();
}

void glue_drain(int64_t wait_us)
{
	int64_t until_us = clock_mono_us() + wait_us;
	const struct timespec pause = { .tv_nsec = 2000000 };

	atomic_store(&is_closing, true);
	while (atomic_load(&busy) > 0 && clock_mono_us() < until_us)
		nanosleep(&pause, NULL);
	if (atomic_load(&busy) > 0)
		log_warn("%d callbacks did not end in time", atomic_load(&busy));
	listener_remove();
}
