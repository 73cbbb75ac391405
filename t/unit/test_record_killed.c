/* milter/record/writer: kill -9 under eight threads; whatever was acknowledged is there. */
#include "t/lib/relaylog.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8

static struct relaylog relay;

static void setup(void)
{
	relaylog_setup(&relay);
}

struct child {
	struct record_writer *writer;
	int out;
};

static void *append_and_tell(void *arg)
{
	const struct child *child = arg;
	struct record_event event = { .event = STR("accepted"), .tenant = STR("acme"), .verdict = STR("accept") };
	char id[RECORD_ID_LEN + 2];

	while (record_append(child->writer, &event, RECORD_DURABLE, id, NULL)) {
		id[RECORD_ID_LEN] = '\n';
		if (write(child->out, id, RECORD_ID_LEN + 1) != RECORD_ID_LEN + 1)
			break;
	}
	return NULL;
}

static void run_child(int out)
{
	struct child child = { relaylog_open(&relay), out };
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, append_and_tell, &child) != 0)
			_exit(1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* Reads what the child said until its end of the pipe closes; it is killed once it has said enough. */
static void read_until_killed(pid_t pid, int in, size_t enough, struct buf *ids)
{
	size_t begin = ids->len;

	for (;;) {
		ck_assert(buf_reserve(ids, 4096));
		ssize_t n = read(in, ids->ptr + ids->len, 4096);

		if (n <= 0)
			break;
		ids->len += (size_t)n;
		if (ids->len - begin > enough)
			kill(pid, SIGKILL);
	}
}

START_TEST(killed)
{
	struct buf ids, text;
	unsigned seed = 7;

	buf_init(&ids, 64 << 20);
	for (int round = 0; round < 30; round++) {
		int ends[2];

		ck_assert_int_eq(pipe(ends), 0);
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			close(ends[0]);
			run_child(ends[1]);
		}
		close(ends[1]);
		read_until_killed(pid, ends[0], (size_t)rand_r(&seed) % 8000, &ids);
		close(ends[0]);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	}
	record_writer_close(relaylog_open(&relay));
	relaylog_must_verify(&relay, VERIFY_OK);
	relaylog_read(&relay, "2026-11-21.jsonl", &text);

	struct str rest = buf_view(&ids), id;
	size_t count = 0, at = 0;

	/* Eight threads tell their ids almost in the order of the file: look on from a little before the last one, and from the
	 * beginning for one whose thread had to wait for its turn. */
	for (; str_next(&rest, '\n', &id) && id.len == RECORD_ID_LEN; count++) {
		size_t from = at > 100000 ? at - 100000 : 0;
		size_t hit = from + str_find(str_from(buf_view(&text), from), id);

		if (hit >= text.len)
			hit = str_find(buf_view(&text), id);
		ck_assert_msg(hit < text.len, "acknowledged, and gone: " STR_FMT, STR_ARG(id));
		at = hit;
	}
	ck_assert_uint_gt(count, 100);
	buf_clear(&ids);
	buf_clear(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record killed");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, killed);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
