#include "stack/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 1000 /* bytes before escaping; longer texts end in "..." */
/* Escaped fourfold at worst, and still within the 4,096 bytes a pipe takes in one piece. */
#define LINE_MAX_LEN 4096
#define TIME_TEXT_MAX 32

enum log_form {
	LOG_FORM_PLAIN,   /* "lwnat: info: text" */
	LOG_FORM_DATED,   /* a time in front, for files */
	LOG_FORM_JOURNAL, /* "<6>text": sd-daemon(3); the journal knows the rest */
	LOG_FORM_JSON,
};

static struct {
	enum log_level level;
	enum log_form form;
	int fd_plus_1;       /* 0: standard error */
	uint64_t lost;       /* lines that nobody took */
	char path[PATH_MAX]; /* "": no file */
	void (*sink)(void *ctx, enum log_level level, const char *line);
	void *ctx;
	uint64_t serial; /* of the last line */
	struct log_line recent[LOG_RECENT_MAX];
} logger = {.level = LOG_LEVEL_INFO};

static const char *const level_words[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	logger.level = level;
}

enum log_level log_level_now(void)
{
	return logger.level;
}

const char *log_level_word(enum log_level level)
{
	return level_words[level];
}

bool log_wants(enum log_level level)
{
	return level <= logger.level;
}

int log_level_parse(const char *word, enum log_level *ret)
{
	for (unsigned i = 0; i < sizeof(level_words) / sizeof(level_words[0]); i++) {
		if (strcmp(word, level_words[i]) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_set_sink(void (*sink)(void *ctx, enum log_level level, const char *line), void *ctx)
{
	logger.sink = sink;
	logger.ctx = ctx;
}

size_t log_escape(const char *text, char *out, size_t out_max)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *text && n + 5 < out_max; text++) {
		unsigned char c = (unsigned char)*text;
		if (c >= ' ' && c <= '~') {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	return n;
}

static void append(char text[TEXT_MAX], const char *what)
{
	size_t len = strlen(text);
	snprintf(text + len, TEXT_MAX - len, "%s", what);
}

/* ---- where lines go -------------------------------------------------------------------------- */

/* Whether standard error is the journal's, systemd.exec(5). */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;
	char *end;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	device = strtoull(stream, &end, 10);
	if (*end != ':')
		return false;
	inode = strtoull(end + 1, &end, 10);
	return *end == '\0' && st.st_dev == device && st.st_ino == inode;
}

static int open_file(void)
{
	int fd = open(logger.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

	return fd < 0 ? -errno : fd;
}

int log_open(const char *path, bool json)
{
	int fd;

	logger.form = json ? LOG_FORM_JSON : is_journal() ? LOG_FORM_JOURNAL : LOG_FORM_PLAIN;
	if (!path)
		return 0;
	if (strlen(path) >= sizeof(logger.path))
		return -ENAMETOOLONG;
	memcpy(logger.path, path, strlen(path) + 1);
	fd = open_file();
	if (fd < 0) {
		logger.path[0] = '\0';
		return fd;
	}
	logger.fd_plus_1 = fd + 1;
	logger.form = json ? LOG_FORM_JSON : LOG_FORM_DATED;
	return 0;
}

bool log_has_file(void)
{
	return logger.fd_plus_1 != 0;
}

int log_reopen(void)
{
	int fd = log_has_file() ? open_file() : 0;

	if (fd < 0 || !log_has_file())
		return fd;
	close(logger.fd_plus_1 - 1);
	logger.fd_plus_1 = fd + 1;
	return 0;
}

/* One call, so that lines of several processes do not mix. A pipe or terminal that is full loses
 * the line rather than our time: it says it has room for what it takes in one piece. */
static bool write_line(const char *line, size_t len)
{
	int fd = logger.fd_plus_1 ? logger.fd_plus_1 - 1 : STDERR_FILENO;
	struct pollfd room = {.fd = fd, .events = POLLOUT};

	return poll(&room, 1, 0) > 0 && room.revents & POLLOUT && write(fd, line, len) >= 0;
}

/* ---- how they look --------------------------------------------------------------------------- */

static const char *time_text(int64_t unix_ms, char text[TIME_TEXT_MAX])
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(text, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, TIME_TEXT_MAX - len, ".%03dZ", (int)(unix_ms % 1000));
	return text;
}

/* Printable ASCII as it stands in a JSON string. */
static size_t json_string(char *out, size_t out_max, const char *text)
{
	size_t n = 0;

	for (; *text && n + 2 < out_max; text++) {
		if (*text == '"' || *text == '\\')
			out[n++] = '\\';
		out[n++] = *text;
	}
	return n;
}

/* Behind it there is room for the line break. */
static size_t format_line(char line[LINE_MAX_LEN], enum log_level level, int64_t unix_ms,
			  const char *text)
{
	static const int priorities[] = {3, 4, 6, 7}; /* syslog(3) */
	char when[TIME_TEXT_MAX];
	size_t n, room = LINE_MAX_LEN - 4;

	time_text(unix_ms, when);
	switch (logger.form) {
	case LOG_FORM_JSON:
		n = (size_t)snprintf(line, room, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"",
				     when, level_words[level]);
		n += json_string(line + n, room - n, text);
		line[n++] = '"';
		line[n++] = '}';
		return n;
	case LOG_FORM_JOURNAL:
		n = (size_t)snprintf(line, room, "<%d>%s", priorities[level], text);
		break;
	case LOG_FORM_DATED:
		n = (size_t)snprintf(line, room, "%s lwnat: %s: %s", when, level_words[level],
				     text);
		break;
	default:
		n = (size_t)snprintf(line, room, "lwnat: %s: %s", level_words[level], text);
		break;
	}
	return n < room ? n : room - 1;
}

static void put(enum log_level level, int64_t unix_ms, const char *text)
{
	char line[LINE_MAX_LEN];
	size_t len = format_line(line, level, unix_ms, text);

	line[len++] = '\n';
	if (!write_line(line, len))
		logger.lost++;
}

/* When there is room again, how many were lost comes first. */
static void put_lost(int64_t unix_ms)
{
	char text[64];
	uint64_t lost = logger.lost;

	if (lost == 0)
		return;
	snprintf(text, sizeof(text), "log: %llu lines were lost", (unsigned long long)lost);
	logger.lost = 0;
	put(LOG_LEVEL_WARN, unix_ms, text);
	if (logger.lost)
		logger.lost += lost - 1;
}

/* ---- recent lines ---------------------------------------------------------------------------- */

static void keep(enum log_level level, int64_t unix_ms, const char *text)
{
	struct log_line *line = &logger.recent[++logger.serial % LOG_RECENT_MAX];
	size_t len = strlen(text);

	line->serial = logger.serial;
	line->unix_ms = unix_ms;
	line->level = level;
	if (len >= sizeof(line->text))
		len = sizeof(line->text) - 1;
	memcpy(line->text, text, len);
	line->text[len] = '\0';
}

bool log_recent(uint64_t serial, struct log_line *ret)
{
	uint64_t oldest = logger.serial < LOG_RECENT_MAX ? 1 : logger.serial - LOG_RECENT_MAX + 1;
	uint64_t wanted = serial + 1 > oldest ? serial + 1 : oldest;

	if (serial >= logger.serial)
		return false;
	*ret = logger.recent[wanted % LOG_RECENT_MAX];
	return true;
}

/* ---- saying ---------------------------------------------------------------------------------- */

static void say(enum log_level level, const char *text)
{
	char line[LINE_MAX_LEN];
	struct timespec now;
	int64_t unix_ms;

	line[log_escape(text, line, sizeof(line))] = '\0';
	clock_gettime(CLOCK_REALTIME, &now);
	unix_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	keep(level, unix_ms, line);
	if (logger.sink) {
		logger.sink(logger.ctx, level, line);
		return;
	}
	put_lost(unix_ms);
	put(level, unix_ms, line);
}

__attribute__((format(printf, 3, 0))) static void emit(enum log_level level, int errnum,
						       const char *format, va_list args)
{
	int saved_errno = errno;
	char text[TEXT_MAX];

	if (vsnprintf(text, sizeof(text), format, args) >= (int)sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	if (errnum) {
		append(text, ": ");
		append(text, strerror(errnum < 0 ? -errnum : errnum));
	}
	say(level, text);
	errno = saved_errno;
}

void log_err(const char *format, ...)
{
	va_list args;

	if (!log_wants(LOG_LEVEL_ERROR))
		return;
	va_start(args, format);
	emit(LOG_LEVEL_ERROR, 0, format, args);
	va_end(args);
}

void log_warn(const char *format, ...)
{
	va_list args;

	if (!log_wants(LOG_LEVEL_WARN))
		return;
	va_start(args, format);
	emit(LOG_LEVEL_WARN, 0, format, args);
	va_end(args);
}

void log_info(const char *format, ...)
{
	va_list args;

	if (!log_wants(LOG_LEVEL_INFO))
		return;
	va_start(args, format);
	emit(LOG_LEVEL_INFO, 0, format, args);
	va_end(args);
}

void log_debug(const char *format, ...)
{
	va_list args;

	if (!log_wants(LOG_LEVEL_DEBUG))
		return;
	va_start(args, format);
	emit(LOG_LEVEL_DEBUG, 0, format, args);
	va_end(args);
}

void log_asked(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	emit(LOG_LEVEL_INFO, 0, format, args);
	va_end(args);
}

void log_err_errno(int errnum, const char *format, ...)
{
	va_list args;

	if (!log_wants(LOG_LEVEL_ERROR))
		return;
	va_start(args, format);
	emit(LOG_LEVEL_ERROR, errnum, format, args);
	va_end(args);
}

void log_warn_errno(int errnum, const char *format, ...)
{
	va_list args;

	if (!log_wants(LOG_LEVEL_WARN))
		return;
	va_start(args, format);
	emit(LOG_LEVEL_WARN, errnum, format, args);
	va_end(args);
}

bool log_limit_ok(struct log_limit *limit, uint64_t now_ms, uint32_t burst, uint32_t interval_ms)
{
	if (now_ms - limit->window_start_ms >= interval_ms) {
		limit->window_start_ms = now_ms;
		limit->in_window = 0;
	}
	if (limit->in_window >= burst) {
		limit->suppressed++;
		return false;
	}
	limit->in_window++;
	if (limit->suppressed != limit->said)
		log_info("log: %u lines like the next one were left out",
			 limit->suppressed - limit->said);
	limit->said = limit->suppressed;
	return true;
}
