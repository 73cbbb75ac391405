/* The hand that stays root: releases and drops messages of the MTA's queue, by their ids, and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milter/tool/child.h"
#include "milter/tool/queue.h"

#define ANSWER_MAX ((size_t)65536)

struct hand {
	int socket;
	pid_t child;
};

struct request {
	enum queue_verb verb;
	char id[QUEUE_ID_MAX + 1];
};
struct answer {
	bool ok;
	char text[200];
};

/* Letters and digits: what both MTAs make, and nothing that is an option, a path or a pattern. */
static bool is_id(struct str id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!ascii_is_alnum(id.ptr[i]))
			return false;
	return id.len > 0 && id.len <= QUEUE_ID_MAX;
}

/* --- in the child */

static const char *postfix_program(const char *name, char room[64])
{
	static const char *const places[] = { "/usr/sbin", "/usr/local/sbin", "/usr/bin" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		snprintf(room, 64, "%s/%s", places[i], name);
		if (access(room, X_OK) == 0)
			break;
	}
	return room;
}

static bool run(char *const *argv, struct arena *arena, struct str *out, struct err *err)
{
	return child_run(argv, CHILD_OUTPUT_AND_ERRORS, ANSWER_MAX, arena, out, err);
}

/* postsuper ends well whether it found the message or not; it says so only in words. */
static bool do_postfix(const struct queue_mta *mta, const struct request *request, struct arena *arena, struct err *err)
{
	char *config = (char *)(uintptr_t)mta->postfix, super[64], queue[64];
	char *const change[] = { (char *)(uintptr_t)postfix_program("postsuper", super), (char *)"-c", config,
				 (char *)(request->verb == QUEUE_RELEASE ? "-H" : "-d"), (char *)(uintptr_t)request->id,
				 (char *)(request->verb == QUEUE_RELEASE ? NULL : "hold"), NULL };
	char *const go[] = { (char *)(uintptr_t)postfix_program("postqueue", queue), (char *)"-c", config, (char *)"-i",
			     (char *)(uintptr_t)request->id, NULL };
	struct str said;

	if (!run(change, arena, &said, err))
		return false;
	if (str_find(said, STR(": 1 message")) == said.len)
		return err_set(err, ERR_INPUT, "%s is not on hold any more", request->id);
	if (request->verb == QUEUE_RELEASE && !run(go, arena, &said, err))
		err->text[0] = '\0';           /* it is free; the queue's next run takes it */
	return true;
}

/* Removes control file and content, while no queue run has them. */
static bool drop_sendmail(const struct queue_mta *mta, const char *id, struct err *err)
{
	char path[PATH_MAX], *name;
	int fd;

	if (!queue_find_quarantined(mta, id, path, err))
		return false;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
		err_errno(err, ERR_BUSY, "%s", path);
		if (fd >= 0)
			close(fd);
		return false;
	}
	name = strrchr(path, '/') + 1;
	name[0] = 'd';                         /* the content first: a control file without content is no message */
	if (unlink(path) != 0 && errno == ENOENT && name - path > 4 && memcmp(name - 4, "/qf/", 4) == 0) {
		memcpy(name - 4, "/df/", 4);
		unlink(path);
		memcpy(name - 4, "/qf/", 4);
	}
	name[0] = 'h';

	bool ok = unlink(path) == 0 || err_errno(err, ERR_BUSY, "%s", path);

	close(fd);
	return ok;
}

static bool do_sendmail(const struct queue_mta *mta, const struct request *request, struct arena *arena, struct err *err)
{
	char which[QUEUE_ID_MAX + 8], path[PATH_MAX];
	char *const free_it[] = { (char *)(uintptr_t)mta->program, (char *)"-C", (char *)(uintptr_t)mta->sendmail, (char *)"-qQ",
				  (char *)"-Q", which, NULL };
	struct str said;

	if (request->verb == QUEUE_DROP)
		return drop_sendmail(mta, request->id, err);
	if (!queue_find_quarantined(mta, request->id, path, err))
		return false;
	snprintf(which, sizeof which, "-qI%s", request->id);
	if (!run(free_it, arena, &said, err))
		return false;
	return access(path, F_OK) != 0 || err_set(err, ERR_BUSY, "Sendmail would not let %s go", request->id);
}

/* Answers until the tool goes. */
static void serve(const struct queue_mta *mta, int socket)
{
	struct request request;

	while (recv(socket, &request, sizeof request, 0) == sizeof request) {
		struct answer answer = { .ok = false };
		struct err err = { .text = "" };
		struct arena arena;

		arena_init(&arena, ANSWER_MAX * 2);
		request.id[QUEUE_ID_MAX] = '\0';
		answer.ok = is_id(str_from_c(request.id)) && (mta->postfix ? do_postfix(mta, &request, &arena, &err)
									       : do_sendmail(mta, &request, &arena, &err));
		snprintf(answer.text, sizeof answer.text, "%.190s", err.text);
		arena_clear(&arena);
		if (send(socket, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer)
			break;
	}
	_exit(0);
}

/* --- in the tool */

bool hand_open(const struct queue_mta *mta, struct hand **out, struct err *err)
{
	int ends[2];
	pid_t child;

	if (geteuid() != 0)
		return err_set(err, ERR_BUSY, "only root may change the MTA's queue; run this with sudo");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return err_errno(err, ERR_BUSY, "socketpair");
	child = fork();
	if (child == 0) {
		close(ends[0]);
		serve(mta, ends[1]);
	}
	close(ends[1]);
	if (child > 0 && (*out = calloc(1, sizeof **out))) {
		**out = (struct hand){ .socket = ends[0], .child = child };
		return true;
	}
	close(ends[0]);                        /* a child that there is ends by that */
	return err_set(err, ERR_BUSY, "no process, or no memory");
}

bool hand_do(struct hand *hand, enum queue_verb verb, struct str id, struct err *err)
{
	struct request request = { .verb = verb };
	struct answer answer;

	if (!is_id(id))
		return err_set(err, ERR_INPUT, "that is no queue id");
	memcpy(request.id, id.ptr, id.len);
	if (send(hand->socket, &request, sizeof request, MSG_NOSIGNAL) != sizeof request ||
	    recv(hand->socket, &answer, sizeof answer, 0) != sizeof answer)
		return err_set(err, ERR_BUSY, "the part of this program that stays root has ended");
	return answer.ok || err_set(err, ERR_BUSY, "%.190s", answer.text);
}

void hand_close(struct hand *hand)
{
	if (!hand)
		return;
	close(hand->socket);
	waitpid(hand->child, NULL, 0);
	free(hand);
}
