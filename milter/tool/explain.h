/*
 * explain - the four questions of a session about one message, asked of the policy through a store that only looks.
 *
 * The order, what a refusal ends and what a hold lets go on are the session's (milter/session.c).
 */
#ifndef SEKISHO_EXPLAIN_H
#define SEKISHO_EXPLAIN_H

#include "milter/return_path.h"
#include "milter/tool/peephole.h"
#include "milter/tool/tool.h"
#include "policy/policy.h"

enum stage { STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_EOM, STAGE_COUNT };

/* What one question was answered. */
struct answer {
	enum stage stage;
	struct str recipient;          /* at STAGE_RCPT */
	struct verdict verdict;
};

struct explain {
	struct tool *tool;
	/* the caller's: all facts but the recipients, with the size declared */
	struct policy_facts facts;
	struct str_list recipients;
	const struct token_keys *keys; /* of return paths; NULL: none of the recipients is at their domain */
	bool is_local;                 /* handed in on the host itself: nothing is refused before its end */
	/* the answers */
	struct answer *answers;
	size_t count;
	enum return_path_kind returns; /* of a recipient that passed: it is for a return path, and nothing else is asked */
	struct return_path path;       /* of a good one */
	struct answer final;           /* what the sender hears in the end */
	struct quota_state *states;    /* what is left of each quota for the whole message, before it */
	size_t state_count;
};

/* Configuration and store are open. */
bool explain_ask(struct explain *e, struct err *err);
bool explain_is_refusal(const struct verdict *v);

#endif
