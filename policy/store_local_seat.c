#include "policy/store_local_seat.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/store_local.h"

static const char *const prefixes[] = { STORE_LOCAL_COUNTED };

_Static_assert(sizeof prefixes / sizeof *prefixes == STORE_LOCAL_SEATS, "one a seat");

struct str store_local_seat_prefix(int seat)
{
	return str_from_c(prefixes[seat]);
}

/* In counts/ the whole group may make files. The first is where versions without seats have their only one, so that of these and
 * of us one adds what is counted there. */
static bool lock_of(const char *store_path, int seat, char out[PATH_MAX], struct err *err)
{
	int len = seat == 0 ? snprintf(out, PATH_MAX, "%s/merge", store_path)
			    : snprintf(out, PATH_MAX, "%s/counts/merge%d", store_path, seat);

	return len < PATH_MAX || err_set(err, ERR_CONFIG, "store.path is too long");
}

bool store_local_seat_take(const char *store_path, int seat, int *out_fd, struct err *err)
{
	char path[PATH_MAX];

	*out_fd = -1;
	if (!lock_of(store_path, seat, path, err))
		return false;

	int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0660);        /* who may read it can lock it */

	if (fd < 0)
		return errno == EACCES || err_errno(err, ERR_BUSY, "%s", path);
	fchmod(fd, 0660);                       /* whatever the umask; of another's, he did */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*out_fd = fd;
		return true;
	}
	bool is_taken = errno == EWOULDBLOCK;

	if (!is_taken)
		err_errno(err, ERR_BUSY, "%s", path);
	close(fd);
	return is_taken;
}
