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

bool verify_has_name(const struct verify_days *days, size_t first, struct str node)
{
	for (size_t i = first; i < days->count; i++)
		if (str_eq(days->rows[i].node, node) || str_eq(days->rows[i].signed_node, node))
			return true;
	return false;
}

static void check_files(const struct verify_days *days, struct str node)
{
	const struct verify_file *after = NULL;

	for (size_t i = days->count; i-- > 0;) {
		struct verify_file *file = &days->rows[i];
		bool is_ours = !file->has_begin || str_eq(file->node, node) || str_eq(file->signed_node, node);
		enum verify_result result = after ? verify_unless_unread(days, file->file.day) : verify_unless_later(days, file->file.day);

		/* Where one behind it cannot be read, that is said, and nothing else is known. */
		if (!is_ours && !(after && (result == VERIFY_UNKNOWN || verify_continues(file, after))))
			verify_file_find(file, result, 0, -1, "a file of another node: it was written by " STR_FMT ", not by " STR_FMT,
					 STR_ARG(str_slice(file->node, 0, ENTRY_NAME_MAX)), STR_ARG(node));
		after = file->has_begin ? file : after;
	}
}

/* Not the first line's name: where the file goes on under another one, that is no later name. */
static void check_statement(const struct verify_days *days, size_t at)
{
	struct verify_file *file = &days->rows[at];

	if (file->other_node.len && !str_eq(file->other_node, file->signed_node) && !verify_has_name(days, at + 1, file->other_node))
		verify_file_find(file, verify_unless_later(days, file->file.day), file->other_offset, file->other_seq,
				 VERIFY_OF_ANOTHER_LOG, STR_ARG(file->other_event));
}

void verify_names(const struct verify_days *days, struct str node)
{
	if (node.len)
		check_files(days, node);
	for (size_t i = 0; i < days->count; i++)
		check_statement(days, i);
}
