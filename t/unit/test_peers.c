/* A full house: who has to go, and who stays. */
#include "t/lib/unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "milter/peers.h"

#define MAX 3
#define ALL 6

static struct peers peers;
static int near[ALL], far[ALL];
static struct peer_seat *seats[ALL];

static void setup(void)
{
	peers_init(&peers, MAX);
	for (int i = 0; i < ALL; i++) {
		int pair[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		near[i] = pair[0];
		far[i] = pair[1];
		seats[i] = NULL;
	}
}

static void teardown(void)
{
	for (int i = 0; i < ALL; i++) {
		peers_leave(&peers, seats[i]);
		close(near[i]);
		close(far[i]);
	}
	ck_assert_uint_eq(peers.count, 0);
	peers_clear(&peers);
}

static void enter(int i)
{
	seats[i] = peers_enter(&peers, near[i]);
	ck_assert_ptr_nonnull(seats[i]);
}

static void leave(int i)
{
	peers_leave(&peers, seats[i]);
	seats[i] = NULL;
}

/* "110": the first two were sent away, the third was not. */
static void check_sent_away(const char *want)
{
	for (int i = 0; want[i]; i++) {
		char octet;

		ck_assert_msg((recv(far[i], &octet, 1, MSG_PEEK) == 0) == (want[i] == '1'), "peer %d, want %s", i, want);
	}
}

START_TEST(the_longest_waiting_goes)
{
	for (int i = 0; i < MAX; i++)
		enter(i);
	check_sent_away("000");
	enter(3);
	check_sent_away("1000");
	enter(4);
	check_sent_away("11000");
}
END_TEST

START_TEST(who_was_heard_stays)
{
	for (int i = 0; i < MAX; i++)
		enter(i);
	peers_heard(&peers, seats[0]);
	enter(3);
	check_sent_away("0100");
	peers_heard(&peers, seats[1]);              /* too late for this one */
	enter(4);
	check_sent_away("01100");
	enter(5);
	check_sent_away("111000");
}
END_TEST

START_TEST(who_leaves_makes_room)
{
	for (int i = 0; i < MAX; i++)
		enter(i);
	leave(1);
	enter(3);
	check_sent_away("0000");
	enter(4);
	check_sent_away("10000");
	leave(0);                                   /* was sent away: no room of its own */
	enter(5);
	check_sent_away("101000");
	peers_heard(&peers, NULL);
	peers_leave(&peers, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("peers");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_longest_waiting_goes);
	tcase_add_test(tcase, who_was_heard_stays);
	tcase_add_test(tcase, who_leaves_makes_room);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
