#include "stack/app/commands.h"

#include "stack/app/cmd.h"
#include "stack/app/options_table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *set_flag(void *field, const char *value)
{
	(void)value;
	*(bool *)field = true;
	return NULL;
}

static const char *set_text(void *field, const char *value)
{
	*(const char **)field = value;
	return *value != '\0' ? NULL : "text";
}

/* No option means anything with 0. */
static const char *set_number(void *field, const char *value)
{
	unsigned long number = strlen(value) < 10 ? strtoul(value, NULL, 10) : 0;

	if (value[strspn(value, "0123456789")] != '\0' || number == 0)
		return "number from 1 to 999999999";
	*(unsigned *)field = (unsigned)number;
	return NULL;
}

/* With K, M or G behind it, powers of 1024. */
static const char *set_bytes(void *field, const char *value)
{
	static const char units[] = "KMG";
	size_t digits = strspn(value, "0123456789");
	uint64_t bytes = digits > 0 && digits < 15 ? strtoull(value, NULL, 10) : 0;
	const char *unit = value[digits] != '\0' ? strchr(units, value[digits]) : NULL;

	if (bytes == 0 || (value[digits] != '\0' && (!unit || value[digits + 1] != '\0')))
		return "size in bytes, as 4096, 100K, 20M or 1G";
	*(uint64_t *)field = unit ? bytes << (10 * (unit - units + 1)) : bytes;
	return NULL;
}

/* Whole seconds or with a fraction, to milliseconds. */
static const char *set_seconds(void *field, const char *value)
{
	double seconds = strlen(value) < 10 ? strtod(value, NULL) : 0;

	if (value[strspn(value, "0123456789.")] != '\0' || seconds < 0.001 || seconds > 1000000)
		return "number of seconds up to 1000000";
	*(unsigned *)field = (unsigned)(seconds * 1000);
	return NULL;
}

#define COMMAND(name, args, min, max, function, summary, text)                                     \
	{name, args, min, max, function, summary, text},
#define COMMAND_OPTION(commands, name, letter, field, type, arg, help)
const struct command commands[] = {
#include "stack/app/commands.def"
};
#undef COMMAND
#undef COMMAND_OPTION
const unsigned commands_n = sizeof(commands) / sizeof(commands[0]);

#define COMMAND(name, args, min, max, function, summary, text)
#define COMMAND_OPTION(commands, name, letter, field, type, arg, help)                             \
	{commands, name, letter, arg, help, set_##type, offsetof(struct command_line, field)},
const struct command_option command_options[] = {
#include "stack/app/commands.def"
};
#undef COMMAND
#undef COMMAND_OPTION
const unsigned command_options_n = sizeof(command_options) / sizeof(command_options[0]);

/* One walk along argv. */
struct walk {
	int argc, at; /* argv[at] comes next */
	char **argv;
	struct command_line *line;
	struct options_error *error;
	unsigned words_n;
	uint64_t used; /* a bit per row of command_options */
};

static int fail(struct walk *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct walk *w, const char *format, ...)
{
	va_list args;
	int n = snprintf(w->error->text, sizeof(w->error->text),
			 "%s: ", w->line->command ? w->line->command->name : w->argv[0]);

	va_start(args, format);
	vsnprintf(w->error->text + n, sizeof(w->error->text) - (size_t)n, format, args);
	va_end(args);
	return -EINVAL;
}

/* 'name' begins with the whole words of 'prefix'. */
static bool begins_with(const char *name, const char *prefix, size_t len)
{
	return strncmp(name, prefix, len) == 0 && (name[len] == '\0' || name[len] == ' ');
}

bool command_has_option(const struct command *command, const struct command_option *option)
{
	for (const char *at = option->commands;; at++) {
		size_t len = strcspn(at, "|");

		if (begins_with(command->name, at, len))
			return true;
		at += len;
		if (*at == '\0')
			return false;
	}
}

bool command_is_one(const char *word)
{
	for (unsigned i = 0; i < commands_n; i++) {
		if (begins_with(commands[i].name, word, strlen(word)))
			return true;
	}
	return false;
}

/* An option of any command that begins with argv[0]. */
static const struct command_option *find_option(const struct walk *w, const char *name, size_t len,
						char letter)
{
	for (unsigned i = 0; i < command_options_n; i++) {
		const struct command_option *o = &command_options[i];

		if (letter ? o->letter != letter
			   : strlen(o->name) != len || memcmp(o->name, name, len) != 0)
			continue;
		for (unsigned k = 0; k < commands_n; k++) {
			if (begins_with(commands[k].name, w->argv[0], strlen(w->argv[0])) &&
			    command_has_option(&commands[k], o))
				return o;
		}
	}
	return NULL;
}

/* ---- options ---- */

static int apply(struct walk *w, const struct command_option *o, const char *value)
{
	char quoted[OPTIONS_QUOTE_MAX];
	const char *wanted;

	if (o->arg && !value) {
		if (w->at == w->argc)
			return fail(w, "--%s: needs a value (accepted: %s)", o->name, o->arg);
		value = w->argv[w->at++];
	} else if (!o->arg && value) {
		return fail(w, "--%s: takes no value (accepted: --%s)", o->name, o->name);
	}
	wanted = o->set((char *)w->line + o->offset, value);
	w->used |= UINT64_C(1) << (o - command_options);
	if (wanted)
		return fail(w, "--%s: '%s': is no %s (accepted: %s)", o->name,
			    options_quote(value, quoted), wanted, o->arg);
	return 0;
}

/* Of 'run', an option of the network's: kept for it, value and all. */
static int keep_option(struct walk *w, const char *arg, const struct option_row *row,
		       bool has_value)
{
	struct command_line *line = w->line;

	line->options[line->options_n++] = (char *)arg;
	if (!row->arg || has_value)
		return 0;
	if (w->at == w->argc)
		return fail(w, "--%s: needs a value (accepted: %s)", row->name, row->arg);
	line->options[line->options_n++] = w->argv[w->at++];
	return 0;
}

static int unknown_option(struct walk *w, const char *arg)
{
	char quoted[OPTIONS_QUOTE_MAX];

	return fail(w, "'%s': unknown option ('lwnat %s --help' lists them)",
		    options_quote(arg, quoted), w->argv[0]);
}

static int take_long(struct walk *w, const char *arg)
{
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) - 2 : strlen(arg) - 2;
	const struct command_option *o = find_option(w, arg + 2, len, 0);
	const struct option_row *row = option_row_by_name(arg + 2, len);

	if (o)
		return apply(w, o, equals ? equals + 1 : NULL);
	if (w->line->options && row)
		return keep_option(w, arg, row, equals != NULL);
	return unknown_option(w, arg);
}

/* "-n NAME", "-nNAME" */
static int take_short(struct walk *w, const char *arg)
{
	const struct command_option *o = find_option(w, "", 0, arg[1]);

	if (!o || (!o->arg && arg[2] != '\0'))
		return unknown_option(w, arg);
	return apply(w, o, arg[2] != '\0' ? arg + 2 : NULL);
}

/* ---- words ---- */

/* Whether the words so far are a command that takes all that follows as it is. */
static bool at_the_rest(const struct walk *w)
{
	for (unsigned i = 0; i < commands_n; i++) {
		if (commands[i].args_max == COMMAND_REST &&
		    strcmp(commands[i].name, w->argv[0]) == 0)
			return true;
	}
	return false;
}

/* Words that begin 'name': how many, when all of its words are there. */
static unsigned words_of(const struct walk *w, const char *name)
{
	unsigned n = 0;

	for (const char *at = name;;) {
		size_t len = strcspn(at, " ");
		const char *word = n == 0 ? w->argv[0] : NULL;

		if (n > 0 && n <= w->words_n)
			word = w->line->words[n - 1];
		if (!word || strlen(word) != len || memcmp(word, at, len) != 0)
			return 0;
		n++;
		if (at[len] == '\0')
			return n;
		at += len + 1;
	}
}

/* Finds the command; returns how many of the words are its name. */
static unsigned resolve(struct walk *w)
{
	unsigned best = 0;

	for (unsigned i = 0; i < commands_n; i++) {
		unsigned n = words_of(w, commands[i].name);

		if (n > best) {
			best = n;
			w->line->command = &commands[i];
		}
	}
	return best > 0 ? best - 1 : 0;
}

static int take_argument(struct walk *w, bool *options_over)
{
	char *arg = w->argv[w->at++];

	if (!*options_over && strcmp(arg, "--") == 0) {
		*options_over = true;
		return 0;
	}
	if (!*options_over && strncmp(arg, "--", 2) == 0)
		return take_long(w, arg);
	if (!*options_over && arg[0] == '-' && arg[1] != '\0')
		return take_short(w, arg);
	w->line->words[w->words_n++] = arg;
	return 0;
}

static int check_words(struct walk *w, unsigned name_words)
{
	struct command_line *line = w->line;
	const struct command *c = line->command;
	char quoted[OPTIONS_QUOTE_MAX];

	if (!c && w->words_n == 0)
		return fail(w, "which one? ('lwnat %s --help' lists them)", w->argv[0]);
	if (!c)
		return fail(w, "'%s': no such command ('lwnat %s --help' lists them)",
			    options_quote(line->words[0], quoted), w->argv[0]);
	if (line->args_n < c->args_min)
		return fail(w, "more is needed (accepted: lwnat %s %s)", c->name, c->args);
	if (line->args_n > c->args_max)
		return fail(w, "'%s': unexpected argument (accepted: lwnat %s%s%s)",
			    options_quote(line->words[name_words + c->args_max], quoted), c->name,
			    *c->args ? " " : "", c->args);
	for (unsigned i = 0; i < command_options_n; i++) {
		if (w->used >> i & 1 && !command_has_option(c, &command_options[i]))
			return fail(w, "--%s: is no option of this command",
				    command_options[i].name);
	}
	return 0;
}

int command_line_parse(struct command_line *ret, int argc, char *argv[],
		       struct options_error *ret_error)
{
	struct walk w = {.argc = argc, .at = 1, .argv = argv, .line = ret, .error = ret_error};
	bool options_over = false, rest = at_the_rest(&w);
	unsigned name_words;

	memset(ret, 0, sizeof(*ret));
	ret->words = calloc((size_t)argc + 1, sizeof(*ret->words));
	if (strcmp(argv[0], "run") == 0)
		ret->options = calloc((size_t)argc + 2, sizeof(*ret->options));
	if (!ret->words || (strcmp(argv[0], "run") == 0 && !ret->options))
		return fail(&w, "out of memory");
	if (ret->options)
		ret->options[ret->options_n++] = (char *)"lwnat";
	while (w.at < argc && !ret->help) {
		if (rest && (options_over || argv[w.at][0] != '-')) {
			ret->args = argv + w.at;
			ret->args_n = (unsigned)(argc - w.at);
			break;
		}
		if (take_argument(&w, &options_over) < 0)
			return -EINVAL;
	}
	name_words = resolve(&w);
	if (!rest) {
		ret->args = ret->words + name_words;
		ret->args_n = w.words_n - name_words;
	}
	return ret->help ? 0 : check_words(&w, name_words);
}

void command_line_fini(struct command_line *line)
{
	free(line->words);
	free(line->options);
	line->words = line->options = NULL;
}
