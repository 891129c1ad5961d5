/* One line per event, on stderr: "lwnat: LEVEL: text". The one permitted global. */
#ifndef LWNAT_BASE_LOG_H
#define LWNAT_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
bool log_wants(enum log_level level);
/* 0, or -EINVAL for a word that is not error, warn, info, debug. */
int log_level_parse(const char *word, enum log_level *ret);
/* Tests take the lines instead of stderr; NULL gives stderr back. The line is the text alone: no
 * "lwnat: LEVEL: ", no newline. */
void log_set_sink(void (*sink)(void *ctx, enum log_level level, const char *line), void *ctx);

/* Non-printable bytes of the finished line are escaped, so text from outside may be an argument. */
void log_err(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, with ": strerror(errnum)" at the end; 'errnum' may be negative. */
void log_err_errno(int errnum, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn_errno(int errnum, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For events that a guest can cause: true at most 'burst' times per 'interval_ms'; what was left
 * out is counted. */
struct log_limit {
	uint64_t window_start_ms;
	uint32_t in_window;
	uint32_t suppressed;
};
bool log_limit_ok(struct log_limit *limit, uint64_t now_ms, uint32_t burst, uint32_t interval_ms);

#endif
