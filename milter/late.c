#include "milter/late.h"

#include "config/base/clock.h"
#include "milter/submit.h"

static bool is_loopback(const struct net_addr *client)
{
	static const unsigned char v4[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127 };
	static const unsigned char v6[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };

	return memcmp(client->octets, v4, sizeof v4) == 0 || memcmp(client->octets, v6, sizeof v6) == 0;
}

bool late_begins(struct passage *p, const struct gate *gate)
{
	const struct policy_facts *f = &p->facts;

	p->is_late = gate->submit.is_open && f->auth.len == 0 &&
		     (f->is_internal || (f->client && is_loopback(f->client)));
	return p->is_late;
}

void late_add_header(struct passage *p, const struct gate *gate, struct str name, struct str value)
{
	if (!gate->submit.is_open || !str_eq_nocase(name, STR(SUBMIT_HEADER)))
		return;
	/* The first is the one that sekisho-sendmail put before all that its caller wrote. */
	if (p->submit_count++ == 0)
		passage_keep(p, str_slice(value, 0, SUBMIT_FIELD_MAX), &p->submit_field);
}

/* As at each stage. False: refused, and nothing more is asked. */
static bool keep(struct passage *p, const struct gate *gate, const struct verdict *verdict)
{
	passage_add_notes(p, gate, verdict);
	if (verdict->action == VERDICT_ACCEPT)
		return true;
	passage_remember(p, verdict);
	return verdict->action == VERDICT_HOLD;
}

static bool ask_recipients(struct passage *p, const struct gate *gate)
{
	size_t count = p->facts.recipient_count;
	bool goes_on = true;

	for (size_t i = 1; i <= count && goes_on; i++) {
		struct verdict verdict = { .action = VERDICT_ACCEPT };

		p->facts.recipient_count = i;
		policy_on_rcpt(&gate->policy, p->config, p->tenant, &p->facts, &p->arena, &verdict);
		goes_on = keep(p, gate, &verdict);
	}
	p->facts.recipient_count = count;
	return goes_on;
}

bool late_judge(struct passage *p, struct gate *gate)
{
	struct verdict verdict = { .action = VERDICT_ACCEPT };
	struct err err = { .kind = ERR_NONE };
	bool is_users = p->submit_count && submit_read(&gate->submit, p->submit_field, clock_now_us(), p->config->submit_valid_us,
						       &p->arena, &p->facts.auth, &err);

	p->is_out_of_memory |= err.kind == ERR_BUSY;   /* it may be a user's: it waits */
	p->facts.is_judged_at_end = true;
	passage_identify(p, &gate->policy, &verdict);
	p->is_late = false;                    /* from here on it is mail like any other */
	if (p->is_out_of_memory || !keep(p, gate, &verdict) || !ask_recipients(p, gate))
		return is_users;
	verdict = (struct verdict){ .action = VERDICT_ACCEPT };
	passage_take_quotas(p, &gate->policy, &verdict);
	keep(p, gate, &verdict);
	return is_users;
}
