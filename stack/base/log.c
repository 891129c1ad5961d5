#include "stack/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 1000 /* bytes before escaping; longer texts end in "..." */
/* Escaped fourfold at worst, and still within the 4,096 bytes a pipe takes in one piece. */
#define LINE_MAX_LEN 4096

static struct {
	enum log_level level;
	void (*sink)(void *ctx, enum log_level level, const char *line);
	void *ctx;
	struct log_line recent[LOG_RECENT_MAX]; /* line 'serial' is at serial % LOG_RECENT_MAX */
	uint64_t serial;                        /* of the last line */
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

/* A line break or an escape sequence in a guest's host name must not forge a line of ours. Returns
 * the length written, without a NUL. */
static size_t escape(char *out, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *text; text++) {
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

static void remember(enum log_level level, const char *line, size_t len)
{
	struct log_line *kept = &logger.recent[++logger.serial % LOG_RECENT_MAX];
	struct timespec now = {0};

	clock_gettime(CLOCK_REALTIME, &now);
	kept->serial = logger.serial;
	kept->unix_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	kept->level = level;
	if (len >= sizeof(kept->text))
		len = sizeof(kept->text) - 1;
	memcpy(kept->text, line, len);
	kept->text[len] = '\0';
}

bool log_recent(uint64_t serial, struct log_line *ret)
{
	uint64_t first = logger.serial >= LOG_RECENT_MAX ? logger.serial - LOG_RECENT_MAX + 1 : 1;

	if (serial >= logger.serial)
		return false;
	serial = serial + 1 > first ? serial + 1 : first;
	*ret = logger.recent[serial % LOG_RECENT_MAX];
	return true;
}

enum log_level log_level_now(void)
{
	return logger.level;
}

const char *log_level_word(enum log_level level)
{
	return level_words[level];
}

__attribute__((format(printf, 3, 0))) static void emit(enum log_level level, int errnum,
						       const char *format, va_list args)
{
	char text[TEXT_MAX], line[LINE_MAX_LEN];
	int saved_errno = errno;

	if (!log_wants(level))
		return;
	if (vsnprintf(text, sizeof(text), format, args) >= (int)sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	if (errnum) {
		append(text, ": ");
		append(text, strerror(errnum < 0 ? -errnum : errnum));
	}

	if (logger.sink) {
		size_t n = escape(line, text);

		line[n] = '\0';
		remember(level, line, n);
		logger.sink(logger.ctx, level, line);
	} else {
		size_t n = (size_t)snprintf(line, sizeof(line), "lwnat: %s: ", level_words[level]);
		size_t prefix = n;

		n += escape(line + n, text);
		remember(level, line + prefix, n - prefix);
		line[n++] = '\n';
		/* One call, so that lines of several processes do not mix; a full stderr loses the
		 * line rather than our time. */
		ssize_t written = write(STDERR_FILENO, line, n);
		(void)written;
	}
	errno = saved_errno;
}

void log_err(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	emit(LOG_LEVEL_ERROR, 0, format, args);
	va_end(args);
}

void log_warn(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	emit(LOG_LEVEL_WARN, 0, format, args);
	va_end(args);
}

void log_info(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	emit(LOG_LEVEL_INFO, 0, format, args);
	va_end(args);
}

void log_debug(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	emit(LOG_LEVEL_DEBUG, 0, format, args);
	va_end(args);
}

void log_err_errno(int errnum, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	emit(LOG_LEVEL_ERROR, errnum, format, args);
	va_end(args);
}

void log_warn_errno(int errnum, const char *format, ...)
{
	va_list args;
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
	return true;
}
