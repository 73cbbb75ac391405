#include "policy/bounce.h"

#include "config/base/words.h"

#define PHRASE_CLEAR 100               /* words up to here say little: those in a web address count as much */
#define PLAIN_SURE 90                  /* rows without text: as good as words */
#define PLAIN_FIRM 20                  /* better than words that were not said about this recipient */

struct hit {
	uint32_t rule;
	uint32_t at, end;              /* in the folded words */
};

/* How far a rule of several parts has come, or that its `not` occurs. */
struct track {
	uint32_t at, end;
	uint16_t parts;
	bool is_forbidden;
};

struct weighing {
	const struct bounce_rules *rules;
	const struct bounce_facts *facts;
	struct str status;
	int reply;
	enum smtp_command command;
	bool has_address;
	struct track tracks[RULES_TRACKED_MAX];        /* by bounce_rule.track - 1 */
	struct hit hits[BOUNCE_HITS_MAX];
	size_t hit_count;
};

static void hit_note(struct weighing *w, uint32_t rule, size_t at, size_t end)
{
	if (w->hit_count < BOUNCE_HITS_MAX)
		w->hits[w->hit_count++] = (struct hit){ .rule = rule, .at = (uint32_t)at, .end = (uint32_t)end };
}

static bool phrase_hit(void *arg, uint32_t id, size_t end)
{
	struct weighing *w = arg;
	const struct bounce_phrase *phrase = &w->rules->phrases[id];
	const struct bounce_rule *rule = &w->rules->rules[phrase->rule];
	size_t at = end - phrase->length;

	if (phrase->kind == PHRASE_COMMAND) {
		if (w->command == SMTP_UNKNOWN)
			w->command = (enum smtp_command)phrase->rule;
		return true;
	}
	if (phrase->kind == PHRASE_NOT) {
		w->tracks[rule->track - 1].is_forbidden = true;
		return true;
	}
	if (rule->parts == 1) {
		hit_note(w, phrase->rule, at, end);
		return true;
	}
	struct track *track = &w->tracks[rule->track - 1];

	/* the blank between two parts may belong to both */
	if (phrase->part == 0) {
		if (track->parts < rule->parts)
			*track = (struct track){ .at = (uint32_t)at, .end = (uint32_t)end, .parts = 1, .is_forbidden = track->is_forbidden };
	} else if (phrase->part == track->parts && at + 1 >= track->end && at <= track->end + RULES_GAP_MAX) {
		track->end = (uint32_t)end;
		if (++track->parts == rule->parts)
			hit_note(w, phrase->rule, track->at, end);
	}
	return true;
}

/* "5.7.*", "?.1.1 ?.1.10" */
static bool status_matches(struct str patterns, struct str status)
{
	struct str pattern;

	while (str_next(&patterns, ' ', &pattern))
		if (status.len && str_glob(pattern, status))
			return true;
	return false;
}

static bool host_ends(struct str host, struct str suffix)
{
	size_t end = host.len;

	while (end && (host.ptr[end - 1] == '.' || host.ptr[end - 1] == '>'))
		end--;
	host.len = end;
	if (!str_ends_nocase(host, suffix))
		return false;
	return host.len == suffix.len || host.ptr[host.len - suffix.len - 1] == '.' ||
	       host.ptr[host.len - suffix.len - 1] == '@';
}

static bool host_matches(struct str suffixes, const struct bounce_facts *facts)
{
	struct str suffix;

	while (str_next(&suffixes, ' ', &suffix))
		if (host_ends(facts->remote, suffix) || host_ends(facts->recipient, suffix) || host_ends(facts->reporter, suffix))
			return true;
	return false;
}

static bool conditions_hold(const struct weighing *w, const struct bounce_rule *rule)
{
	char reply[4] = "";

	if (rule->reply.len) {
		if (w->reply == 0)
			return false;
		reply[0] = (char)('0' + w->reply / 100);
		reply[1] = (char)('0' + w->reply / 10 % 10);
		reply[2] = (char)('0' + w->reply % 10);
		if (!str_starts(str_of(reply, 3), rule->reply))
			return false;
	}
	if (rule->commands && !(rule->commands & 1U << w->command))
		return false;
	if (rule->address != RULE_ADDRESS_ANY && w->has_address != (rule->address == RULE_ADDRESS_YES))
		return false;
	if (rule->status.len && !status_matches(rule->status, w->status))
		return false;
	if (rule->shape.len && !str_eq(rule->shape, str_from_c(w->facts->shape)))
		return false;
	if (rule->category.len && !str_eq_nocase(rule->category, w->facts->category))
		return false;
	if (rule->host.len && !host_matches(rule->host, w->facts))
		return false;
	return !(rule->without.len && w->tracks[rule->track - 1].is_forbidden);
}

static bool is_better(const struct bounce_rules *rules, const struct hit *a, const struct hit *b)
{
	const struct bounce_rule *ra = &rules->rules[a->rule], *rb = &rules->rules[b->rule];

	if (ra->priority != rb->priority)
		return ra->priority > rb->priority;
	if (ra->length != rb->length)
		return ra->length > rb->length;
	if (a->at != b->at)
		return a->at < b->at;
	return a->rule < b->rule;
}

static void plain_weigh(const struct weighing *w, int priority_min, struct hit *best, bool *found)
{
	for (size_t i = 0; i < w->rules->plain_count; i++) {
		struct hit hit = { .rule = (uint32_t)w->rules->plain[i] };
		const struct bounce_rule *rule = &w->rules->rules[hit.rule];

		if (rule->priority < priority_min || (*found && !is_better(w->rules, &hit, best)) || !conditions_hold(w, rule))
			continue;
		*best = hit;
		*found = true;
	}
}

/* A text folded, and the best rule for it. */
struct weighed {
	char folded[BOUNCE_WORDS_MAX];
	struct words words;
	struct hit best;
	bool is_found;
};

static bool phrases_weigh(struct weighing *w, struct str text, bool without_links, struct weighed *out)
{
	bool found = false;

	words_init(&out->words, out->folded, sizeof out->folded);
	out->words.without_links = without_links;
	words_add(&out->words, text);
	w->hit_count = 0;
	memset(w->tracks, 0, w->rules->track_count * sizeof *w->tracks);
	phrase_scan(w->rules->set, words_view(&out->words), phrase_hit, w);
	for (size_t i = 0; i < w->hit_count; i++) {
		const struct hit *hit = &w->hits[i];

		if ((found && !is_better(w->rules, hit, &out->best)) || !conditions_hold(w, &w->rules->rules[hit->rule]))
			continue;
		out->best = *hit;
		found = true;
	}
	return found;
}

/*
 * Its phrases are weighed, and the rows without phrase that are sure enough. A sentence goes before the web address that
 * explains it: "No such user, see http://example.jp/help/spam.html" is about no spam.
 */
static bool text_weigh(struct weighing *w, struct str text, struct weighed *out)
{
	bool found = phrases_weigh(w, text, true, out);

	if (out->words.has_link && (!found || w->rules->rules[out->best.rule].priority <= PHRASE_CLEAR))
		found = phrases_weigh(w, text, false, out) || (found && phrases_weigh(w, text, true, out));
	if (text.len)
		plain_weigh(w, PLAIN_SURE, &out->best, &found);
	out->is_found = found;
	return found;
}

/* The address itself is at fault, whenever it was said: x.1.0 to x.1.3, x.1.10, Microsoft's x.1.351, x.4.1 of theirs. */
static bool status_names_address(struct str status)
{
	return status.len && (status_matches(STR("?.1.0 ?.1.1 ?.1.2 ?.1.3 ?.1.10 ?.1.351"), status));
}

/*
 * Who refuses the greeting, HELO or MAIL has not heard of a recipient yet: whom he does not know is the sender, or his
 * host. Without a reply it was our own resolver that said so; a code that names the recipient's address, a row of the operator's,
 * or one for this command, means it. Who takes no mail at all says so at the greeting, or by 521.
 */
static enum bounce_reason before_recipient(const struct weighing *w, size_t row, struct str status)
{
	enum bounce_reason reason = w->rules->rules[row].reason;
	bool is_unknown = reason == BOUNCE_HOSTUNKNOWN || reason == BOUNCE_USERUNKNOWN || reason == BOUNCE_HASMOVED ||
			  (reason == BOUNCE_NOTACCEPT && w->command == SMTP_MAIL && w->reply != 521);

	if (!is_unknown || w->reply == 0 || status_names_address(status) || row < w->rules->own_count || w->rules->rules[row].commands)
		return reason;
	if (w->command == SMTP_CONNECT || w->command == SMTP_HELO)
		return BOUNCE_BLOCKED;
	return w->command == SMTP_MAIL ? BOUNCE_REJECTED : reason;
}

static void verdict_take(const struct weighing *w, const struct hit *hit, struct str words, struct arena *arena,
			 struct bounce_verdict *out)
{
	const struct bounce_rule *rule = &w->rules->rules[hit->rule];

	out->rule = rule;
	if (!arena_copy(arena, str_trim(str_slice(words, hit->at, hit->end - hit->at)), &out->matched))
		out->matched = STR_EMPTY;
	out->reason = before_recipient(w, hit->rule, out->status);
	out->command = w->command;
	if (out->reason == rule->reason && rule->has_later && w->command != SMTP_RCPT && !status_names_address(out->status))
		out->reason = rule->later;
}

/* The code to go by: a specific one beats a vague one, the reply's beats the field's, which beats the text's. */
static struct str status_choose(struct str of_reply, struct str of_field, struct str of_text)
{
	struct str all[3] = { of_reply, of_field, of_text };

	for (size_t i = 0; i < 3; i++)
		if (all[i].len && !status_is_vague(all[i]))
			return all[i];
	for (size_t i = 0; i < 3; i++)
		if (all[(i + 1) % 3].len)
			return all[(i + 1) % 3];
	return STR_EMPTY;
}

/* Of a transcript that stands apart from what is said of the recipient, as sendmail's does. */
static enum smtp_command command_of(struct str context)
{
	struct said said;

	said_read(context, &said);
	return said.command;
}

static void said_choose(struct weighing *w, const struct bounce_facts *facts, struct bounce_verdict *out)
{
	struct said reply, text;

	said_read(facts->diagnostic, &reply);
	said_read(facts->text, &text);
	if (facts->is_only && reply.reply == 0 && reply.status.len == 0 && text.reply == 0 && text.status.len == 0)
		said_read(facts->context, &text);
	else if (facts->is_only && reply.command == SMTP_UNKNOWN && text.command == SMTP_UNKNOWN)
		reply.command = command_of(facts->context);
	out->status = status_choose(reply.status, facts->status, text.status);
	out->reply = reply.reply ? reply.reply : text.reply;
	out->said = facts->diagnostic.len ? facts->diagnostic : facts->text;
	w->command = reply.command != SMTP_UNKNOWN ? reply.command : text.command;
	w->status = out->status;
	w->reply = out->reply;
}

static bool is_transient(const struct bounce_verdict *verdict)
{
	if (verdict->reply)
		return verdict->reply < 500;
	return verdict->status.len && verdict->status.ptr[0] == '4';
}

static bool codes_judge(struct weighing *w, int priority_min, struct arena *arena, struct bounce_verdict *out)
{
	struct hit hit;
	bool found = false;

	plain_weigh(w, priority_min, &hit, &found);
	if (found)
		verdict_take(w, &hit, STR_EMPTY, arena, out);
	return found;
}

/* Does the reply itself name an address? What stands around it does not count. */
static bool names_address(struct str reply)
{
	char folded[SAID_MAX];
	struct words words;

	words_init(&words, folded, sizeof folded);
	words_add(&words, reply);
	return words.has_address;
}

static void facts_judge(struct weighing *w, struct arena *arena, struct bounce_verdict *out)
{
	const struct bounce_facts *facts = w->facts;
	struct str said = facts->diagnostic.len ? facts->diagnostic : said_reply_of(facts->text);
	struct weighed text, reply;
	const struct weighed *best = NULL;

	w->has_address = names_address(said);
	if (text_weigh(w, facts->text, &text) && w->rules->rules[text.best.rule].priority >= BOUNCE_PRIORITY_DESTINATION)
		best = &text;
	else if (text_weigh(w, said, &reply))
		best = &reply;
	else if (text.is_found)
		best = &text;
	else if (codes_judge(w, PLAIN_FIRM, arena, out))
		return;
	else if ((facts->is_only || w->reply == 0) && text_weigh(w, facts->context, &text))
		best = &text;           /* with a reply of one's own, what another was told says nothing */
	if (best)
		verdict_take(w, &best->best, words_view(&best->words), arena, out);
	else if (facts->is_delay)
		out->reason = BOUNCE_EXPIRED;
	else if (!codes_judge(w, 0, arena, out) && !facts->diagnostic.len && !facts->text.len && !facts->context.len)
		out->reason = BOUNCE_UNDEFINED;
}

void bounce_judge(const struct bounce_rules *rules, const struct bounce_facts *facts, struct arena *arena,
		  struct bounce_verdict *out)
{
	struct weighing w;

	w.rules = rules;
	w.facts = facts;
	*out = (struct bounce_verdict){ .reason = BOUNCE_ONHOLD };
	said_choose(&w, facts, out);
	if (facts->is_complaint)
		out->reason = BOUNCE_FEEDBACK;
	else if (facts->is_delivered)
		out->reason = BOUNCE_DELIVERED;
	else
		facts_judge(&w, arena, out);
	out->is_hard = bounce_reason_is_hard(out->reason, is_transient(out));
}
