#include "milter/guarding.h"

#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/num.h"
#include "config/base/task.h"
#include "milter/strike.h"
#include "policy/emptied.h"

#define LOOK_US (2 * US_PER_S)

struct guarding {
	struct gate *gate;
	bool is_failing;               /* it was said once */
	struct emptied emptied;
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
	warned_tell(g->gate->warned, config, str_from_c(g->gate->own_sender), clock_mono_us());
	config_release(config);
}

static void look_for_loss(struct guarding *g)
{
	if (!emptied_look(&g->emptied, g->gate->policy.store))
		return;
	log_error("store: Redis has lost what it held: nothing is used of any quota, nobody is suspended, and no recipient is "
		  "suppressed any more; suspend again, or halve, whom these name: sekisho log search --class ops --event suspended, "
		  "and the same with --event halved; put the recipients back with sekisho suppress import, and see that Redis keeps its data (appendonly yes)");
	gate_record(g->gate, STR("store"), STR_EMPTY, BUF("{\"emptied\":true}"));
}

static void guard(void *arg)
{
	struct guarding *g = arg;

	look_for_loss(g);
	while (task_wait(&g->task, LOOK_US)) {
		look_for_loss(g);
		look_around(g);
	}
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
