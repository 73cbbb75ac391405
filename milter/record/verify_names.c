#include "milter/record/verify_names.h"

#include "milter/record/entry.h"

enum verify_result verify_unless_unread(const struct verify_days *days, int64_t day)
{
	for (size_t i = 0; i < days->count; i++)
		if (days->rows[i].is_unread && days->rows[i].file.day >= day)
			return VERIFY_UNKNOWN;
	return VERIFY_TAMPERED;
}

enum verify_result verify_unless_later(const struct verify_days *days, int64_t day)
{
	return days->is_to_end ? verify_unless_unread(days, day) : VERIFY_UNKNOWN;
}

bool verify_continues(const struct verify_file *before, const struct verify_file *file)
{
	return file->has_begin && record_file_cmp(&file->previous, &before->file) == 0 && file->after == before->last_seq &&
	       memcmp(file->hash, before->chain, CHAIN_LEN) == 0;
}

/* The name under which the log was last signed before a record of file `at`. */
static const struct verify_name *name_before(const struct verify_days *days, size_t at, int64_t seq)
{
	for (size_t i = at + 1; i-- > 0;)
		for (const struct verify_name *name = days->rows[i].names; name; name = name->next)
			if (name->seq < seq)
				return name;
	return NULL;
}

/* Is it signed under that name behind it? */
static bool has_name_after(const struct verify_days *days, size_t at, int64_t seq, struct str node)
{
	for (size_t i = at; i < days->count; i++)
		for (const struct verify_name *name = days->rows[i].names; name; name = name->next)
			if (name->seq > seq && str_eq(name->node, node))
				return true;
	return false;
}

bool verify_has_name(const struct verify_days *days, struct str node)
{
	return has_name_after(days, 0, -1, node);
}

/* What a line says is anybody's word, and a checkpoint the key holder's. Where none was before, the first line must do. */
static bool is_its_name(const struct verify_days *days, size_t at, int64_t seq, struct str node)
{
	const struct verify_name *before = name_before(days, at, seq);

	return str_eq(node, before ? before->node : days->rows[at].node) || has_name_after(days, at, seq, node);
}

/* As a reader wants it: whose key holder signed the file; where nobody did, whom its first line names. */
static struct str written_by(const struct verify_file *file)
{
	return str_slice(file->names ? file->names->node : file->node, 0, ENTRY_NAME_MAX);
}

static bool is_of_node(const struct verify_file *file, struct str node)
{
	const struct verify_name *name = file->names;

	while (name && !str_eq(name->node, node))
		name = name->next;
	return name || !file->has_begin || (!file->names && str_eq(file->node, node));
}

/* Its own name, or it leads without a break to a file that has it. Where one behind it cannot be read, that is said, and nothing else
 * is known. */
static bool is_ours(const struct verify_days *days, size_t at, struct str node, enum verify_result *out_else)
{
	const struct verify_file *file = &days->rows[at], *after = NULL;

	for (size_t i = at + 1; i < days->count && !after; i++)
		after = days->rows[i].has_begin ? &days->rows[i] : NULL;
	*out_else = after ? verify_unless_unread(days, file->file.day) : verify_unless_later(days, file->file.day);
	return node.len == 0 || is_of_node(file, node) || (after && (*out_else == VERIFY_UNKNOWN || verify_continues(file, after)));
}

/* Whoever has no key (sekisho-track) may begin a file under a name that the log had before. */
static void check_first_line(const struct verify_days *days, size_t at, struct str node)
{
	struct verify_file *file = &days->rows[at];
	enum verify_result result;

	if (!is_ours(days, at, node, &result))
		verify_file_find(file, result, 0, -1, "a file of another node: it was written by " STR_FMT ", not by " STR_FMT,
				 STR_ARG(written_by(file)), STR_ARG(node));
	else if (file->has_begin && !verify_has_name(days, file->node) && !is_its_name(days, at, file->after + 1, file->node))
		verify_file_find(file, VERIFY_UNKNOWN, 0, -1, "says that the log goes on as " STR_FMT ", and no checkpoint under that name "
				 "does: the gate was killed as it took it, or somebody without the key wrote this",
				 STR_ARG(str_slice(file->node, 0, ENTRY_NAME_MAX)));
}

static void check_statements(const struct verify_days *days, size_t at)
{
	struct verify_file *file = &days->rows[at];

	for (const struct verify_name *claim = file->claims; claim; claim = claim->next)
		if (!is_its_name(days, at, claim->seq, claim->node))
			verify_file_find(file, verify_unless_later(days, file->file.day), claim->offset, claim->seq, VERIFY_OF_ANOTHER_LOG,
					 STR_ARG(claim->event));
}

void verify_names(const struct verify_days *days, struct str node)
{
	for (size_t i = 0; i < days->count; i++) {
		check_first_line(days, i, node);
		check_statements(days, i);
	}
}
