/* One line per event: "lwnat: LEVEL: text" on stderr, or where log_open() says. The one permitted
 * global. */
#ifndef LWNAT_BASE_LOG_H
#define LWNAT_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
bool log_wants(enum log_level level);
/* 0, or -EINVAL for a word that is not error, warn, info, debug. */
int log_level_parse(const char *word, enum log_level *ret);
/* From here on lines go to the file at 'path' (NULL: standard error), as JSON objects or as text;
 * text has the time in front in a file, and the journal's "<N>" when standard error is the journal
 * ($JOURNAL_STREAM). A file is made with mode 0600 and only ever appended to. 0 or -errno, and then
 * standard error stays. */
int log_open(const char *path, bool json);
bool log_has_file(void);
/* Opens the file by its name again, for whoever has moved it away. 0, or -errno with the old one
 * still in use. */
int log_reopen(void);
/* Tests take the lines instead of stderr; NULL gives stderr back. The line is the text alone: no
 * "lwnat: LEVEL: ", no newline. */
void log_set_sink(void (*sink)(void *ctx, enum log_level level, const char *line), void *ctx);

/* Non-printable bytes of the finished line are escaped, so text from outside may be an argument. */
void log_err(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Said at every level, as info: the answer to somebody's question. */
void log_asked(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As the first two, with ": strerror(errnum)" at the end; 'errnum' may be negative. */
void log_err_errno(int errnum, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn_errno(int errnum, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What lines are escaped by: a line break or an escape sequence in a guest's host name must not
 * forge a line of ours. As much of 'text' as 'out' has room for; the length written, without a NUL,
 * for which there is room. */
size_t log_escape(const char *text, char *out, size_t out_max);

/* The last lines, whatever became of them on stderr or in a file: for people who come later. */
#define LOG_RECENT_MAX 256      /* lines kept */
#define LOG_RECENT_TEXT_MAX 240 /* bytes of a line with NUL; longer ones are cut */
struct log_line {
	uint64_t serial; /* 1 for the process's first line */
	int64_t unix_ms; /* when, CLOCK_REALTIME */
	enum log_level level;
	char text[LOG_RECENT_TEXT_MAX]; /* escaped: printable ASCII */
};
/* The first kept line after 'serial' (0: the oldest kept one). false: there is none. */
bool log_recent(uint64_t serial, struct log_line *ret);
enum log_level log_level_now(void);
const char *log_level_word(enum log_level level); /* "error", "warn", "info", "debug" */

/* For events that a guest can cause: true at most 'burst' times per 'interval_ms'. What was left
 * out is counted, and said before the next line that is not. */
struct log_limit {
	uint64_t window_start_ms;
	uint32_t in_window;
	uint32_t suppressed; /* in all */
	uint32_t said;       /* of them */
};
bool log_limit_ok(struct log_limit *limit, uint64_t now_ms, uint32_t burst, uint32_t interval_ms);

#endif
