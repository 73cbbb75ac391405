/*
 * sekisho log serve: shows readers their own tenant's records, and nobody else's.
 *
 * A process for each question: what goes wrong in one ends it alone, and the mail's daemon has no part in it. Who asks is
 * what the kernel says (SO_PEERCRED); whose records he may see is the setting `readers` of each tenant, read anew for
 * each question. Of the command line only words that are known to be harmless pass: none that names a file.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/log.h"
#include "milter/record/siphash.h"
#include "milter/tool/commands.h"
#include "milter/tool/reader.h"
#include "milter/tool/run.h"

#define ASKING_MAX 8                   /* questions at once */
#define REQUEST_WAIT_S 10
#define ANSWER_WAIT_S 60               /* for an octet to be taken */
#define QUESTION_S 900
#define GROUPS_MAX 256

struct serve_values {
	struct str socket;
};

static const struct option options[] = {
	{ "--socket", OPTION_TEXT, offsetof(struct serve_values, socket), "PATH", NULL, "where to listen, by default " READER_SOCKET },
	{ NULL },
};

/* --- what may be asked */

static const char *const served[] = { "log search", "log show", "log export", "log report" };

static const char *const harmless[] = {
	"--from", "--to", "--days", "--tenant", "--sender", "--recipient", "--client", "--queue-id",
	"--message-id", "--id", "--event", "--verdict", "--reason", "--class", "--oldest-first", "--limit", "--no-index",
	"--purpose", "--format", "--lang", "--json", "--help",
};

static bool is_harmless(struct str word)
{
	struct str name = word, value;

	if (word.len == 0 || word.ptr[0] != '-')
		return true;
	str_cut(word, '=', &name, &value);
	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		if (str_eq(name, str_from_c(harmless[i])))
			return true;
	return false;
}

/* --- who asks */

struct asker {
	char name[64];
	uid_t uid;
	struct str tenants[64];        /* whose records he may see */
	size_t tenant_count;
	gid_t groups[GROUPS_MAX];
	int group_count;
};

static bool is_in_group(const struct asker *asker, struct str name)
{
	char text[256];

	snprintf(text, sizeof text, STR_FMT, STR_ARG(name));

	const struct group *group = getgrnam(text);

	for (int i = 0; group && i < asker->group_count; i++)
		if (asker->groups[i] == group->gr_gid)
			return true;
	return false;
}

static bool is_reader(const struct asker *asker, const struct tenant *tenant)
{
	for (size_t i = 0; i < tenant->readers.count; i++) {
		struct str who = tenant->readers.items[i];

		if (who.ptr[0] == '@' ? is_in_group(asker, str_from(who, 1)) : str_eq(who, str_from_c(asker->name)))
			return true;
	}
	return false;
}

/* A user without a name is nobody's reader. */
static bool find_asker(int fd, const struct config *config, struct asker *out)
{
	struct ucred peer;
	socklen_t len = sizeof peer;
	const struct passwd *user;

	*out = (struct asker){ .group_count = GROUPS_MAX };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || !(user = getpwuid(peer.uid)))
		return false;
	snprintf(out->name, sizeof out->name, "%s", user->pw_name);
	out->uid = peer.uid;
	if (strlen(user->pw_name) >= sizeof out->name || getgrouplist(user->pw_name, peer.gid, out->groups, &out->group_count) < 0)
		return false;
	for (size_t i = 0; i < config->tenant_count && out->tenant_count < sizeof out->tenants / sizeof *out->tenants; i++)
		if (is_reader(out, &config->tenants[i]))
			out->tenants[out->tenant_count++] = config->tenants[i].name;
	return true;
}

static bool may_see(const struct asker *asker, struct str tenant)
{
	for (size_t i = 0; i < asker->tenant_count; i++)
		if (str_eq(asker->tenants[i], tenant))
			return true;
	return false;
}

/* --- one question */

struct question {
	int fd;
	struct tool tool;
	struct reader_request request;
	struct asker asker;
	char tenant_word[80];          /* "--tenant=acme" */
};

static int refuse(struct question *q, enum tool_exit code, const char *text)
{
	return tool_fail(&q->tool, code, "%s", text);
}

/* The tenant that he names, each time he does; "" without. False: one that is not his to see. */
static bool find_tenant(const struct question *q, struct str *out)
{
	*out = STR_EMPTY;
	for (size_t i = 1; i <= q->request.count; i++) {
		struct str word = str_from_c(q->request.words[i]), name = word, value = STR_EMPTY;

		if (!str_cut(word, '=', &name, &value) && i < q->request.count)
			value = str_from_c(q->request.words[i + 1]);
		if (!str_eq(name, STR("--tenant")))
			continue;
		if (!may_see(&q->asker, value) || (out->len && !str_eq(*out, value)))
			return false;
		*out = value;
	}
	return true;
}

static bool is_served(const struct reader_request *request)
{
	char words[64];

	if (request->count < 2)
		return false;
	snprintf(words, sizeof words, "%s %s", request->words[1], request->words[2]);
	for (size_t i = 0; i < sizeof served / sizeof *served; i++)
		if (strcmp(words, served[i]) == 0)
			return true;
	return false;
}

/* Directly behind the command's two words, where it is nobody's value. */
static void put_tenant(struct question *q)
{
	char **words = q->request.words;

	snprintf(q->tenant_word, sizeof q->tenant_word, "--tenant=" STR_FMT, STR_ARG(q->tool.only_tenant));
	memmove(words + 4, words + 3, (q->request.count - 2) * sizeof *words);
	words[3] = q->tenant_word;
	q->request.count++;
}

static int answer(struct question *q)
{
	static char program[] = "sekisho";
	struct reader_request *request = &q->request;
	struct str tenant;

	if (!is_served(request))
		return refuse(q, TOOL_USAGE, "readers may ask: log search, log show, log export, log report");
	for (size_t i = 1; i <= request->count; i++)
		if (!is_harmless(str_from_c(request->words[i])))
			return refuse(q, TOOL_USAGE, "an option that readers do not have");
	if (!tool_config(&q->tool))
		return TOOL_UNKNOWN;
	if (!find_asker(q->fd, q->tool.config, &q->asker) || q->asker.tenant_count == 0)
		return refuse(q, TOOL_NO,
			      "you are no tenant's reader: the setting `readers` of a tenant names users and groups");
	if (!find_tenant(q, &tenant))
		return refuse(q, TOOL_NO, "--tenant: not one whose records you may see");
	if (tenant.len == 0 && q->asker.tenant_count > 1)
		return refuse(q, TOOL_USAGE, "you may read for several tenants: which one? --tenant NAME");
	q->tool.only_tenant = tenant.len ? tenant : q->asker.tenants[0];
	q->tool.actor = tool_text(&q->tool, "%s (uid %u, by log serve)", q->asker.name, (unsigned)q->asker.uid);
	if (tenant.len == 0)
		put_tenant(q);
	request->words[0] = program;
	return tool_main(&q->tool, request->words, request->count + 1);
}

static ssize_t write_out(void *cookie, const char *octets, size_t n)
{
	return reader_send(*(int *)cookie, 'o', str_of(octets, n)) ? (ssize_t)n : 0;
}

static ssize_t write_err(void *cookie, const char *octets, size_t n)
{
	return reader_send(*(int *)cookie, 'e', str_of(octets, n)) ? (ssize_t)n : 0;
}

static bool take_request(struct question *q, char *room)
{
	unsigned char head[4];
	uint32_t len;

	if (!reader_receive(q->fd, head, sizeof head) || (len = le32_read(head)) > READER_REQUEST_MAX)
		return false;
	return reader_receive(q->fd, room, len) && reader_take_request(room, len, &q->request);
}

static void set_waits(int fd)
{
	const struct timeval receive = { .tv_sec = REQUEST_WAIT_S }, send = { .tv_sec = ANSWER_WAIT_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof receive);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof send);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	alarm(QUESTION_S);
}

/* In a process of its own; what it prints goes to who asked. */
static void answer_and_exit(int fd, struct str config_path)
{
	static struct question question;
	static char room[READER_REQUEST_MAX];
	struct question *q = &question;
	FILE *out, *err;
	char code = TOOL_USAGE;

	q->fd = fd;
	set_waits(fd);
	out = fopencookie(&q->fd, "w", (cookie_io_functions_t){ .write = write_out });
	err = fopencookie(&q->fd, "w", (cookie_io_functions_t){ .write = write_err });
	if (!out || !err)
		_exit(EXIT_FAILURE);
	stdout = out;
	stderr = err;
	tool_init(&q->tool);
	q->tool.config_path = config_path;
	if (take_request(q, room)) {
		screen_set_columns(q->request.columns);
		code = (char)answer(q);
	} else {
		refuse(q, TOOL_USAGE, "a request that cannot be read");
	}
	tool_clear(&q->tool);
	fflush(stdout);
	fflush(stderr);
	reader_send(fd, 'x', str_of(&code, 1));
	_exit(EXIT_SUCCESS);
}

/* --- the service */

static volatile sig_atomic_t is_stopping;

static void stop(int number)
{
	(void)number;
	is_stopping = 1;
}

static bool listen_at(struct str path, int *out_fd, struct err *err)
{
	struct sockaddr_un address;

	if (!reader_address(path, &address, err) || !io_remove_socket(address.sun_path, err))
		return false;

	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Anybody may ask; who gets an answer is decided by who he is. */
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && chmod(address.sun_path, 0666) == 0 &&
	    listen(fd, ASKING_MAX) == 0) {
		*out_fd = fd;
		return true;
	}
	err_errno(err, ERR_BUSY, STR_FMT, STR_ARG(path));
	if (fd >= 0)
		close(fd);
	return false;
}

static void serve(int listener, struct str config_path)
{
	int asking = 0;

	while (!is_stopping) {
		while (asking > 0 && waitpid(-1, NULL, asking < ASKING_MAX ? WNOHANG : 0) > 0)
			asking--;

		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;

		pid_t child = fork();

		if (child == 0) {
			close(listener);
			answer_and_exit(fd, config_path);
		}
		if (child < 0)
			log_warn("no process for a question: %s", strerrordesc_np(errno));
		asking += child > 0;
		close(fd);
	}
}

static void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = stop };        /* without SA_RESTART: accept returns */

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(struct tool *tool, const void *values)
{
	const struct serve_values *want = values;
	struct str path = want->socket.ptr ? want->socket : STR(READER_SOCKET);
	struct err err;
	int listener;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	if (!listen_at(path, &listener, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	catch_signals();
	tool_print(tool, "ready on " STR_FMT "\n", STR_ARG(path));
	tool_flush(tool);
	serve(listener, tool->config_path);
	close(listener);
	unlink(tool_text(tool, STR_FMT, STR_ARG(path)).ptr);
	return TOOL_OK;
}

const struct tool_command command_log_serve = {
	.name = "log serve",
	.operands = "",
	.summary = "show readers their own tenant's records",
	.about = "Answers on a Unix socket until it is stopped. The users and groups that the setting readers of a tenant names ask it "
		 "with `sekisho --via SOCKET log search` (show, export, report) and get this tenant's records alone; who asks is "
		 "what the kernel says. They need no right to the log, its configuration or its keys. Each question is recorded in class "
		 "ops under the reader's name. A record's seq and chain value are the log's, so that a reader can tell "
		 "how many records others have, but nothing of what they say. Runs as the user that owns the log.",
	.options = options,
	.values_size = sizeof(struct serve_values),
	.examples = "sekisho log serve\nsekisho --via " READER_SOCKET " log search bob@example.jp",
	.ok = "it was stopped",
	.unknown = "the configuration cannot be read, or the socket not be made",
	.run = run,
};
