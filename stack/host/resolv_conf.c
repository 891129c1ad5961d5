#include "stack/host/resolv_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DNS_PORT 53
#define FILE_MAX 16384 /* bytes; more is not read */

static const char blanks[] = " \t";

/* "1.2.3.4", "2001:db8::1" or "fe80::1%eth0". */
static bool parse_server(const char *text, size_t len, struct resolv_server *ret)
{
	char copy[ADDR_TEXT_MAX + 1 + RESOLV_SCOPE_MAX];
	struct resolv_server server = {.endpoint.port = DNS_PORT};
	char *scope;

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	scope = strchr(copy, '%');
	if (scope) {
		*scope++ = '\0';
		size_t scope_len = strlen(scope);
		if (scope_len >= sizeof(server.scope))
			return false;
		memcpy(server.scope, scope, scope_len + 1);
	}
	if (addr_parse(copy, &server.endpoint.addr) < 0)
		return false;
	*ret = server;
	return true;
}

unsigned resolv_conf_parse(const char *text, size_t len,
			   struct resolv_server ret[RESOLV_SERVERS_MAX])
{
	static const char keyword[] = "nameserver";
	const char *end = text + len;
	unsigned n = 0;

	while (text < end && n < RESOLV_SERVERS_MAX) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));
		const char *next = line_end ? line_end + 1 : end;
		size_t word_len = sizeof(keyword) - 1;

		if (!line_end)
			line_end = end;
		while (text < line_end && strchr(blanks, *text) && *text)
			text++;
		if ((size_t)(line_end - text) > word_len && memcmp(text, keyword, word_len) == 0 &&
		    text[word_len] && strchr(blanks, text[word_len])) {
			text += word_len;
			while (text < line_end && *text && strchr(blanks, *text))
				text++;
			for (word_len = 0; text + word_len < line_end && text[word_len] &&
					   !strchr(" \t\r#;", text[word_len]);)
				word_len++;
			if (parse_server(text, word_len, &ret[n]))
				n++;
		}
		text = next;
	}
	return n;
}

static bool time_eq(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool mark_update(struct resolv_mark *mark, const struct stat *st)
{
	if (mark->dev == st->st_dev && mark->ino == st->st_ino && mark->size == st->st_size &&
	    time_eq(&mark->modified, &st->st_mtim) && time_eq(&mark->changed, &st->st_ctim))
		return false;
	*mark = (struct resolv_mark){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
	return true;
}

unsigned resolv_conf_read(const char *path, struct resolv_mark *mark,
			  struct resolv_server ret[RESOLV_SERVERS_MAX])
{
	char text[FILE_MAX];
	struct stat st;
	size_t len = 0;
	ssize_t got;
	int fd;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !mark_update(mark, &st))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return 0;
	do {
		got = read(fd, text + len, sizeof(text) - len);
		if (got > 0)
			len += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	(void)close(fd);
	return resolv_conf_parse(text, len, ret);
}
