#include "stack/app/options.h"

#include "stack/app/options_table.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define MAN_OPTION "--man-options" /* for the build alone, so not in the table */

/* One walk along argv. */
struct walk {
	int argc, at; /* argv[at] comes next */
	char *const *argv;
	struct options *options;
	struct options_error *error;
	uint64_t in_netdev; /* a bit per row: last set by --netdev */
	uint64_t given;     /* a bit per row: set by either */
};

static int fail(struct options_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct options_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	for (char *c = error->text; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?'; /* what another unit quoted */
	}
	return -EINVAL;
}

int setting_apply(struct setting *s)
{
	char reason[OPTIONS_ERROR_MAX], quoted[OPTIONS_QUOTE_MAX];

	if (s->row->set(s) == 0) {
		*s->given |= UINT64_C(1) << (s->row - option_rows);
		return 0;
	}
	if (s->reason_is_whole)
		return -EINVAL;
	memcpy(reason, s->reason, sizeof(reason));
	return setting_fail(s, "'%s': %.250s (accepted: %s)", options_quote(s->value, quoted),
			    reason, s->row->arg);
}

/* 'value' is NULL when the row takes none. */
static int apply(struct walk *w, const struct option_row *row, const char *value)
{
	struct setting s = {.row = row,
			    .value = value,
			    .options = w->options,
			    .in_netdev = &w->in_netdev,
			    .given = &w->given};

	if (setting_apply(&s) < 0)
		return fail(w->error, "--%s: %.480s", row->name, s.reason);
	w->in_netdev &= ~(UINT64_C(1) << (row - option_rows));
	return 0;
}

/* "--name value", "--name=value". */
static int take_long(struct walk *w, const char *arg)
{
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
	const struct option_row *row = option_row_by_name(arg + 2, len - 2);
	char quoted[OPTIONS_QUOTE_MAX], advice[OPTION_ADVICE_MAX], word[OPTIONS_QUOTE_MAX];

	if (!row) {
		snprintf(word, sizeof(word), "%.*s", (int)(len - 2), arg + 2);
		return fail(w->error, "'--%s': unknown option%s", options_quote(word, quoted),
			    option_advice(word, false, advice));
	}
	if (!row->arg)
		return equals ? fail(w->error, "--%s: takes no value (accepted: --%s)", row->name,
				     row->name)
			      : apply(w, row, NULL);
	if (!equals && w->at == w->argc)
		return fail(w->error, "--%s: needs a value (accepted: %s)", row->name, row->arg);
	return apply(w, row, equals ? equals + 1 : w->argv[w->at++]);
}

/* "-V" and "-h"; all else with one dash is QEMU's way of writing options, or an error. */
static int take_short(struct walk *w, const char *arg)
{
	const struct option_row *row = arg[2] == '\0' ? option_row_by_letter(arg[1]) : NULL;
	char quoted[OPTIONS_QUOTE_MAX], advice[OPTION_ADVICE_MAX];

	if (row)
		return apply(w, row, NULL);
	return fail(w->error, "'%s': unknown option%s", options_quote(arg, quoted),
		    option_advice(arg + 1, false, advice));
}

static int take_argument(struct walk *w)
{
	const char *arg = w->argv[w->at++];
	char quoted[OPTIONS_QUOTE_MAX], advice[OPTION_ADVICE_MAX];

	if (strcmp(arg, MAN_OPTION) == 0) {
		w->options->action = OPTIONS_MAN;
		return 0;
	}
	if (strncmp(arg, "--", 2) == 0 && arg[2] != '\0')
		return take_long(w, arg);
	if (arg[0] == '-' && arg[1] != '-' && arg[1] != '\0')
		return take_short(w, arg);
	if (strcmp(arg, "--") == 0 && w->at == w->argc)
		return 0;
	if (strcmp(arg, "--") == 0)
		arg = w->argv[w->at];
	return fail(w->error, "'%s': unexpected argument%s", options_quote(arg, quoted),
		    option_advice(arg, false, advice));
}

static void set_defaults(struct options *o)
{
	memset(o, 0, sizeof(*o));
	o->net = (struct subnet){addr_v4(0x0a000200), 24};
	o->ipv4 = true;
	o->ipv6 = true;
	o->net6 = (struct subnet){{{0xfe, 0xc0}}, 64};
	o->ipv6_prefixlen = 64;
	memcpy(o->name, "default", sizeof("default"));
	o->mtu = 1500;
	o->ready_fd = -1;
	o->log_level = LOG_LEVEL_INFO;
}

static int check(struct walk *w)
{
	struct options_fault fault;
	const struct option_row *row;

	if (options_check(w->options, w->given, &fault) == 0)
		return 0;
	row = option_row_by_name(fault.option, strlen(fault.option));
	if (w->in_netdev >> (row - option_rows) & 1)
		return fail(w->error, "--netdev: %s=%.480s", row->qemu, fault.text);
	return fail(w->error, "--%s: %.480s", row->name, fault.text);
}

int options_parse(struct options *ret, int argc, char *const argv[],
		  struct options_error *ret_error)
{
	struct walk w = {.argc = argc, .at = 1, .argv = argv, .options = ret, .error = ret_error};

	set_defaults(ret);
	while (w.at < w.argc) {
		if (take_argument(&w) < 0)
			return -EINVAL;
		if (ret->action != OPTIONS_RUN)
			return 0;
	}
	return check(&w);
}
