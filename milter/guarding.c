#include "milter/guarding.h"

#include <stdlib.h>

#include "config/base/log.h"
#include "config/base/num.h"
#include "config/base/task.h"
#include "milter/strike.h"

#define LOOK_US (2 * US_PER_S)

struct guarding {
	struct gate *gate;
	bool is_failing;               /* it was said once */
	struct task task;
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

	if (strike_look(visit->guarding->gate, visit->config, tenant, member, &visit->err))
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

static void guard(void *arg)
{
	struct guarding *g = arg;

	while (task_wait(&g->task, LOOK_US))
		look_around(g);
	look_around(g);
}

bool guarding_start(struct gate *gate, struct guarding **out, struct err *err)
{
	struct guarding *g = calloc(1, sizeof *g);

	if (!g)
		return err_memory(err);
	g->gate = gate;
	if (!task_start(&g->task, "guards", guard, g, err)) {
		free(g);
		return false;
	}
	*out = g;
	return true;
}

void guarding_stop(struct guarding *g)
{
	if (!g)
		return;
	task_stop(&g->task);
	free(g);
}
