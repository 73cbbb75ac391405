#include "milter/track/agents.h"

#include <pthread.h>

/* Anywhere in the field, any case. */
static const struct str words[] = {
	/* image proxies, and fetchers of previews */
	STR_INIT("GoogleImageProxy"), STR_INIT("YahooMailProxy"), STR_INIT("ggpht.com"),
	STR_INIT("facebookexternalhit"), STR_INIT("Slackbot"), STR_INIT("Twitterbot"), STR_INIT("WhatsApp/"),
	STR_INIT("TelegramBot"), STR_INIT("LinkedInBot"), STR_INIT("SkypeUriPreview"), STR_INIT("Line/poker"),
	STR_INIT("Discordbot"),
	/* scanners of mail */
	STR_INIT("Barracuda"), STR_INIT("Proofpoint"), STR_INIT("Mimecast"), STR_INIT("MessageLabs"),
	STR_INIT("Symantec"), STR_INIT("Trend Micro"), STR_INIT("Sophos"), STR_INIT("Cisco-ESA"),
	STR_INIT("IronPort"), STR_INIT("FireEye"), STR_INIT("ZScaler"), STR_INIT("Bitdefender"), STR_INIT("urlscan"),
	STR_INIT("VirusTotal"), STR_INIT("SafeLinks"), STR_INIT("BingPreview"), STR_INIT("Edge/12.246"),
	/* crawlers and libraries */
	STR_INIT("bot/"), STR_INIT("bot;"), STR_INIT("crawler"), STR_INIT("spider"), STR_INIT("HeadlessChrome"),
	STR_INIT("PhantomJS"), STR_INIT("curl/"), STR_INIT("Wget/"), STR_INIT("python-requests"),
	STR_INIT("python-urllib"), STR_INIT("aiohttp"), STR_INIT("Go-http-client"), STR_INIT("Java/"),
	STR_INIT("okhttp"), STR_INIT("Apache-HttpClient"), STR_INIT("libwww-perl"), STR_INIT("node-fetch"),
	STR_INIT("axios/"), STR_INIT("Ruby"), STR_INIT("PHP/"), STR_INIT("WindowsPowerShell"),
};

#define WORD_COUNT (sizeof words / sizeof *words)
_Static_assert(WORD_COUNT < 255, "an index fits an octet");

/* The whole field: what proxies say that hide what they fetch for. */
static const struct str whole[] = {
	STR_INIT("Mozilla/5.0"), STR_INIT("Mozilla/4.0"), STR_INIT("Mozilla"), STR_INIT("Outlook"),
};

/* Published by their owners, or registered to them (whois). */
static const char *const networks[] = {
	/* Exchange Online Protection */
	"40.92.0.0/15", "40.107.0.0/16", "52.100.0.0/14", "104.47.0.0/17", "2a01:111:f400::/48", "2a01:111:f403::/48",
	/* Google's image proxy */
	"66.102.0.0/20", "66.249.64.0/19", "72.14.192.0/18", "74.125.0.0/16", "209.85.128.0/17",
	/* Proofpoint */
	"67.231.144.0/20", "148.163.128.0/19", "205.220.160.0/19", "208.84.64.0/22",
	/* Mimecast */
	"63.128.21.0/24", "170.10.128.0/22", "205.139.110.0/24", "207.211.30.0/24",
	/* Barracuda */
	"64.235.144.0/20", "209.222.80.0/21",
	/* Apple (mail privacy protection fetches through it) */
	"17.0.0.0/8",
};
#define NETWORK_COUNT (sizeof networks / sizeof *networks)

static struct net_prefix prefixes[NETWORK_COUNT];
static size_t prefix_count;
/* Words by their first letter: one more than the index, 0 ends. */
static unsigned char first_word[256], next_word[WORD_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
	for (size_t i = 0; i < NETWORK_COUNT; i++)
		prefix_count += net_parse_prefix(str_from_c(networks[i]), &prefixes[prefix_count]);
	for (size_t i = 0; i < WORD_COUNT; i++) {
		unsigned char *first = &first_word[(unsigned char)ascii_lower(words[i].ptr[0])];

		next_word[i] = *first;
		*first = (unsigned char)(i + 1);
	}
}

static bool has_word_at(struct str text)
{
	for (size_t i = first_word[(unsigned char)ascii_lower(text.ptr[0])]; i; i = next_word[i - 1])
		if (str_starts_nocase(text, words[i - 1]))
			return true;
	return false;
}

bool agents_is_machine(struct str user_agent)
{
	struct str text = str_trim(user_agent);

	if (text.len == 0)
		return true;
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
		if (str_eq_nocase(text, whole[i]))
			return true;
	pthread_once(&once, prepare);
	for (text = str_slice(text, 0, 512); text.len; text = str_from(text, 1))
		if (has_word_at(text))
			return true;
	return false;
}

bool agents_is_machine_network(const struct net_addr *client)
{
	pthread_once(&once, prepare);
	for (size_t i = 0; i < prefix_count; i++)
		if (net_prefix_covers(&prefixes[i], client))
			return true;
	return false;
}
