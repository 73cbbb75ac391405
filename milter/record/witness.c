#include "milter/record/witness.h"

#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/num.h"
#include "milter/record/proof.h"

#define LINE_SIZE 4096
#define LAST "last.note"

/* What came in. */
struct offer {
	struct buf text;               /* the note */
	struct note note;
	char origin[2 * ENTRY_NAME_MAX + 16];  /* by the first line */
	bool has_proof;
	int64_t old, reached;          /* records that the proof leads from and to, */
	unsigned char chain[CHAIN_LEN];/* and the chain value there */
};

struct run {
	const struct witness *witness;
	char dir[PATH_MAX];            /* DIR/NODE/CLASS: of the log that the first line names */
	struct buf last_text;
	struct note last;
	bool has_last;
	struct offer offer;
};

/* --- what is kept */

/* A name in a path: a log cannot lead out of the directory. */
static bool is_safe(struct str name)
{
	return entry_is_name(name) && name.ptr[0] != '.';
}

static bool name_dir(struct run *run, struct str origin, struct err *err)
{
	struct str node, class_name;

	if (origin.len >= sizeof run->offer.origin || !str_starts(origin, STR("sekisho:")) ||
	    !str_cut_last(str_from(origin, sizeof "sekisho:" - 1), '/', &node, &class_name) ||
	    !is_safe(node) || !is_safe(class_name) ||
	    snprintf(run->dir, sizeof run->dir, "%s/" STR_FMT "/" STR_FMT, run->witness->dir, STR_ARG(node), STR_ARG(class_name)) >=
		    (int)sizeof run->dir)
		return err_set(err, ERR_INPUT, "not the name of a log, sekisho:NODE/CLASS: " STR_FMT, STR_ARG(str_slice(origin, 0, 80)));
	snprintf(run->offer.origin, sizeof run->offer.origin, STR_FMT, STR_ARG(origin));
	return true;
}

static bool name_note(const struct run *run, const char *name, char out[PATH_MAX], struct err *err)
{
	return snprintf(out, PATH_MAX, "%s/%s", run->dir, name) < PATH_MAX || err_set(err, ERR_CONFIG, "%s: path too long", run->dir);
}

static bool read_note(const struct run *run, const char *name, struct buf *out, bool *out_found, struct err *err)
{
	char path[PATH_MAX];

	if (!name_note(run, name, path, err))
		return false;
	*out_found = access(path, F_OK) == 0;
	if (!*out_found)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", path);
	return io_read_file(path, out, err);
}

static bool load_last(struct run *run, struct err *err)
{
	buf_init(&run->last_text, NOTE_MAX);
	if (!read_note(run, LAST, &run->last_text, &run->has_last, err))
		return false;
	return !run->has_last || note_read(buf_view(&run->last_text), run->witness->logs, &run->last, err) ||
	       err_wrap(err, "%s/" LAST, run->dir);
}

static bool keep(const struct run *run, const char *name, struct str text, struct err *err)
{
	char path[PATH_MAX];

	return name_note(run, name, path, err) && io_replace_file(path, text, 0644, err);
}

/* --- what came in */

static bool next_line(FILE *in, char line[LINE_SIZE], struct str *out, struct err *err)
{
	if (!fgets(line, LINE_SIZE, in))
		return ferror(in) ? err_errno(err, ERR_BUSY, "reading the checkpoint")
				  : err_set(err, ERR_INPUT, "no checkpoint as `sekisho log checkpoint` prints it: its end is missing");
	*out = str_from_c(line);
	if (!str_ends(*out, STR("\n")))
		return err_set(err, ERR_INPUT,
			       "no checkpoint as `sekisho log checkpoint` prints it: a line without an end");
	out->len--;
	return true;
}

static bool follow_proof(struct run *run, FILE *in, char line[LINE_SIZE], struct err *err)
{
	struct offer *offer = &run->offer;
	unsigned char leaf[CHAIN_LEN];
	struct str text;

	memcpy(offer->chain, run->last.hash, CHAIN_LEN);
	for (offer->reached = offer->old; next_line(in, line, &text, err); offer->reached++) {
		if (text.len == 0)
			return true;
		if (!proof_leaf(text, leaf))
			return err_set(err, ERR_INPUT, "line %" PRId64 " of the proof is no leaf", offer->reached - offer->old + 1);
		chain_advance(offer->chain, leaf);
	}
	return false;
}

static bool read_rest(struct offer *offer, FILE *in, struct err *err)
{
	char piece[LINE_SIZE];
	struct str whole;
	size_t n;

	while ((n = fread(piece, 1, sizeof piece, in)) > 0)
		buf_add(&offer->text, str_of(piece, n));
	if (ferror(in))
		return err_errno(err, ERR_BUSY, "reading the checkpoint");
	return buf_done(&offer->text, &whole, err);
}

/* The first line says of which log it is; what we know of that one is read before the proof is followed. */
static bool read_offer(struct run *run, FILE *in, struct err *err)
{
	struct offer *offer = &run->offer;
	struct str text, number, origin;
	char line[LINE_SIZE];

	if (!next_line(in, line, &text, err))
		return false;
	offer->has_proof = str_starts(text, STR("old "));
	if (!offer->has_proof) {
		buf_add(&offer->text, text);
		buf_add_byte(&offer->text, '\n');
		return name_dir(run, text, err) && load_last(run, err) && read_rest(offer, in, err);
	}
	if (!str_cut(str_from(text, 4), ' ', &number, &origin) || !num_parse_i64(number, &offer->old) || offer->old < 0)
		return err_set(err, ERR_INPUT, "the proof does not say from where it leads");
	if (!name_dir(run, origin, err) || !load_last(run, err))
		return false;
	return follow_proof(run, in, line, err) && read_rest(offer, in, err);
}

/* --- judging */

/* Whether what is offered continues what is known; `err` says what is wrong. */
static enum witness_answer judge(const struct run *run, struct err *err)
{
	const struct offer *offer = &run->offer;
	const struct note *last = &run->last, *new = &offer->note;

	if (!run->has_last)
		return WITNESS_SIGNED;
	if (new->head < last->head) {
		err_set(err, ERR_INPUT, "a rollback: record %" PRId64 " was seen already, and this checkpoint ends at %" PRId64, last->head,
			new->head);
		return WITNESS_REFUSED;
	}
	if (new->head == last->head) {
		if (memcmp(new->hash, last->hash, CHAIN_LEN) == 0)
			return WITNESS_KNOWN;
		err_set(err, ERR_INPUT, "a fork: record %" PRId64 " was seen with another chain value: the log was rewritten", last->head);
		return WITNESS_REFUSED;
	}
	if (!offer->has_proof || offer->old != last->head) {
		err_set(err, ERR_INPUT, "nothing shows that it continues record %" PRId64 ", the last that was seen: `sekisho log checkpoint "
			"--since` with that checkpoint gives the proof", last->head);
		return WITNESS_UNPROVED;
	}
	if (offer->reached != new->head || memcmp(offer->chain, new->hash, CHAIN_LEN) != 0) {
		err_set(err, ERR_INPUT, "a fork: record %" PRId64 " does not follow from record %" PRId64 " as it was seen: the log was "
			"rewritten", new->head, last->head);
		return WITNESS_REFUSED;
	}
	return WITNESS_SIGNED;
}

static bool sign_and_keep(struct run *run, struct buf *out, struct err *err)
{
	const struct witness *witness = run->witness;
	char name[40];

	snprintf(name, sizeof name, "%" PRId64 ".note", run->offer.note.head);
	buf_add(out, buf_view(&run->offer.text));
	return note_cosign(out, &run->offer.note, witness->name, clock_now_us() / US_PER_S, witness->key, err) &&
	       keep(run, name, buf_view(out), err) && keep(run, LAST, buf_view(out), err);
}

static bool answer(struct run *run, enum witness_answer *out_answer, struct buf *out, struct err *err)
{
	struct err unkept;
	char name[48];

	*out_answer = judge(run, err);
	if (*out_answer == WITNESS_KNOWN)
		buf_add(out, buf_view(&run->last_text));
	if (*out_answer != WITNESS_REFUSED)
		return *out_answer != WITNESS_SIGNED || sign_and_keep(run, out, err);
	snprintf(name, sizeof name, "%" PRId64 ".refused.note", run->offer.note.head);
	if (keep(run, name, buf_view(&run->offer.text), &unkept))
		return true;
	*err = unkept;
	return false;
}

static bool check_offer(struct run *run, struct err *err)
{
	struct offer *offer = &run->offer;

	if (!note_read(buf_view(&offer->text), run->witness->logs, &offer->note, err))
		return false;
	return str_eq(offer->note.origin, str_from_c(offer->origin)) ||
	       err_set(err, ERR_INPUT, "a proof of one log before a checkpoint of another");
}

/* One at a time: two that came at once would both be the next. */
static int lock(const struct witness *witness, struct err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/.lock", witness->dir) >= (int)sizeof path) {
		err_set(err, ERR_CONFIG, "%s: path too long", witness->dir);
		return -1;
	}

	int fd = io_make_dirs(witness->dir, 0755, err) ? io_open(path, O_RDWR | O_CREAT, 0644, err) : -1;

	if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
		err_errno(err, ERR_BUSY, "lock %s", path);
		close(fd);
		return -1;
	}
	return fd;
}

bool witness_take(const struct witness *witness, FILE *in, enum witness_answer *out_answer, struct buf *out, struct err *err)
{
	struct run run = { .witness = witness };
	int fd = lock(witness, err);

	if (fd < 0)
		return false;
	buf_init(&run.offer.text, NOTE_MAX);

	bool ok = read_offer(&run, in, err) && check_offer(&run, err) && io_make_dirs(run.dir, 0755, err) &&
		  answer(&run, out_answer, out, err);

	buf_clear(&run.offer.text);
	buf_clear(&run.last_text);
	close(fd);
	return ok;
}

bool witness_last(const struct witness *witness, struct str origin, struct buf *out, struct err *err)
{
	struct run run = { .witness = witness };
	bool ok = name_dir(&run, origin, err) && load_last(&run, err);

	if (ok && run.has_last)
		buf_add(out, buf_view(&run.last_text));
	buf_clear(&run.last_text);
	return ok;
}
