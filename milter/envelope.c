#include "milter/envelope.h"

#include "config/base/log.h"
#include "milter/mail/address.h"

#define MEMORY_MAX ((size_t)256 << 10)     /* a few addresses, and what the store gives for one */

void envelope_init(struct envelope *e)
{
	*e = (struct envelope){ .is_discarded = false };
	arena_init(&e->arena, MEMORY_MAX);
}

void envelope_end(struct envelope *e)
{
	arena_clear(&e->arena);
	envelope_init(e);
}

/* --- out */

static bool wants_path(const struct passage *p)
{
	struct str domain = address_domain(p->facts.sender);
	char lower[256];

	if (p->is_returned || !p->tenant || p->tenant->return_domain.len == 0 || domain.len == 0 || p->facts.recipient_count == 0)
		return false;
	if (domain.len > sizeof lower)                         /* none of ours is as long */
		return true;
	for (size_t i = 0; i < domain.len; i++)
		lower[i] = ascii_lower(domain.ptr[i]);
	return !config_is_return_domain(p->config, str_of(lower, domain.len));
}

static bool sign(struct envelope *e, struct gate *gate, const struct passage *p, struct err *err)
{
	const struct return_path_message message = {
		.tenant = p->tenant,
		.message = str_of(p->id, RECORD_ID_LEN),
		.sender = p->facts.sender,
		.recipients = p->recipients,
		.recipient_count = p->facts.recipient_count,
	};
	struct holding *keys = token_ring_acquire(&gate->tokens);
	bool ok = keys ? return_path_make(gate->policy.store, token_ring_keys(keys), &message, &e->arena, &e->sender, err)
		       : err_set(err, ERR_CONFIG, "there are no keys");

	token_ring_release(&gate->tokens, keys);
	return ok;
}

void envelope_sign(struct envelope *e, struct gate *gate, struct passage *p)
{
	struct err err;

	if (!wants_path(p))
		return;
	if (sign(e, gate, p, &err)) {
		passage_add_action(p, "return_path");
		return;
	}
	if (err.kind != ERR_INPUT)
		log_warn("no return path for message %s: %s", p->id, err.text);
	passage_add_action(p, "left:return path: %s", err.text);
}

/* --- back */

static bool pass_on(struct envelope *e, struct gate *gate, struct passage *p, const struct returning *returning, struct err *err)
{
	static const char *const fates[] = { [RETURNED_SENDER] = "returned:sender", [RETURNED_ACCEPT] = "returned:accept",
					     [RETURNED_DISCARD] = "returned:discard" };
	enum returned_mail fate;
	struct str sender;

	if (returning->kind != RETURN_PATH_GOOD)
		return true;
	if (!returning_fate(returning, gate, &e->arena, &fate, &sender, err))
		return false;
	if (fate == RETURNED_SENDER && sender.len == 0)        /* forgotten: whoever has the domain may know what to do */
		fate = RETURNED_ACCEPT;
	if (fate == RETURNED_SENDER &&
	    (!arena_printf(&e->arena, &e->add, STR_FMT, STR_ARG(sender)) ||
	     !arena_printf(&e->arena, &e->drop, STR_FMT, STR_ARG(p->recipients[0]))))
		return err_memory(err);
	e->is_discarded = fate == RETURNED_DISCARD;
	passage_add_action(p, "%s", fates[fate]);
	return true;
}

void envelope_return(struct envelope *e, struct gate *gate, struct passage *p, struct returning *returning, bool can_readdress,
		     struct verdict *verdict)
{
	struct err err;

	p->is_returned = true;
	if (verdict->action == 0)
		*verdict = (struct verdict){ .action = VERDICT_ACCEPT, .tenant = p->tenant };
	if (returning_read(returning, gate, p, &err) && (!can_readdress || pass_on(e, gate, p, returning, &err)))
		return;
	log_error("returned message %s: %s; it is to come again", p->id, err.text);
	*verdict = (struct verdict){ .action = VERDICT_DEFER, .reason = REASON_STORE, .tenant = p->tenant, .rule = STR("store") };
}
