#include "policy/store_local_seat.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "policy/store_local.h"

static const char *const prefixes[] = { STORE_LOCAL_COUNTED };

_Static_assert(sizeof prefixes / sizeof *prefixes == STORE_LOCAL_SEATS, "one a seat");

struct str store_local_seat_prefix(int seat)
{
	return str_from_c(prefixes[seat]);
}

bool store_local_seat_take(const char *store_path, int seat, int *out_fd, struct err *err)
{
	char path[PATH_MAX], number[12] = "";

	if (seat > 0)
		snprintf(number, sizeof number, "%d", seat);
	if (snprintf(path, sizeof path, "%s/merge%s", store_path, number) >= (int)sizeof path)
		return err_set(err, ERR_CONFIG, "store.path is too long");

	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0660);

	if (fd < 0)
		return err_errno(err, ERR_BUSY, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*out_fd = fd;
		return true;
	}
	bool is_taken = errno == EWOULDBLOCK;

	if (!is_taken)
		err_errno(err, ERR_BUSY, "%s", path);
	close(fd);
	*out_fd = -1;
	return is_taken;
}
