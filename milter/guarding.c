#include "milter/guarding.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "config/base/log.h"
#include "milter/alarm.h"

#define LOOK_S 2

struct guarding {
	struct gate *gate;
	bool is_failing;               /* it was said once */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool is_stopping;              /* under the lock */
};

struct visit {
	struct guarding *guarding;
	const struct config *config;
	struct err err;
};

static void tell_failure(struct guarding *g, const struct err *err)
{
	if (!g->is_failing)
		log_warn("%s; the guards look again when the store is back", err->text);
	g->is_failing = true;
}

static bool look(void *arg, const struct tenant *tenant, struct member member)
{
	struct visit *visit = arg;

	if (alarm_look(visit->guarding->gate, visit->config, tenant, member, &visit->err))
		return true;
	tell_failure(visit->guarding, &visit->err);
	return false;
}

static void look_around(struct guarding *g)
{
	struct config *config = config_acquire();
	struct visit visit = { .guarding = g, .config = config };
	struct err err = { .text = "" };

	if (pulse_visit(g->gate->pulse, g->gate->policy.store, config, look, &visit, &err))
		g->is_failing = false;
	else if (err.text[0])
		tell_failure(g, &err);
	config_release(config);
}

/* True: it is time to stop. */
static bool wait_some(struct guarding *g)
{
	struct timespec until;
	bool is_stopping;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOOK_S;
	pthread_mutex_lock(&g->lock);
	while (!g->is_stopping && pthread_cond_timedwait(&g->wake, &g->lock, &until) != ETIMEDOUT)
		;
	is_stopping = g->is_stopping;
	pthread_mutex_unlock(&g->lock);
	return is_stopping;
}

static void *guard(void *arg)
{
	struct guarding *g = arg;

	while (!wait_some(g))
		look_around(g);
	look_around(g);
	return NULL;
}

static void guarding_free(struct guarding *g)
{
	pthread_cond_destroy(&g->wake);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

bool guarding_start(struct gate *gate, struct guarding **out, struct err *err)
{
	struct guarding *g = calloc(1, sizeof *g);
	pthread_condattr_t attr;
	sigset_t all, before;
	int why;

	if (!g)
		return err_memory(err);
	g->gate = gate;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->wake, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);                      /* signals belong to main */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	why = pthread_create(&g->thread, NULL, guard, g);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (why != 0) {
		guarding_free(g);
		return err_set(err, ERR_BUSY, "thread of the guards: %s", strerrordesc_np(why));
	}
	*out = g;
	return true;
}

void guarding_stop(struct guarding *g)
{
	if (!g)
		return;
	pthread_mutex_lock(&g->lock);
	g->is_stopping = true;
	pthread_cond_signal(&g->wake);
	pthread_mutex_unlock(&g->lock);
	pthread_join(g->thread, NULL);
	guarding_free(g);
}
