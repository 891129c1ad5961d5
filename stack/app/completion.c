#include "stack/app/completion.h"

#include "stack/app/cmd.h"
#include "stack/app/commands.h"
#include "stack/app/options_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXTS_MAX 64

/* The words before the cursor that are a command, or begin one; "" is 'lwnat' itself. */
struct contexts {
	char name[CONTEXTS_MAX][32];
	unsigned n;
};

/* One option, of either table. */
struct entry {
	const char *name, *arg, *help;
	char letter;
};

/* How a shell says it. */
struct shell {
	void (*option)(FILE *out, const char *context, const struct entry *entry);
	void (*word)(FILE *out, const char *context, const char *word, const char *help);
};

/* ---- the tables ---- */

static void add_context(struct contexts *c, const char *name, size_t len)
{
	for (unsigned i = 0; i < c->n; i++) {
		if (strlen(c->name[i]) == len && memcmp(c->name[i], name, len) == 0)
			return;
	}
	if (c->n < CONTEXTS_MAX)
		snprintf(c->name[c->n++], sizeof(c->name[0]), "%.*s", (int)len, name);
}

static void find_contexts(struct contexts *c)
{
	c->n = 0;
	add_context(c, "", 0);
	for (unsigned i = 0; i < commands_n; i++) {
		const char *name = commands[i].name;

		for (const char *end = name; *end != '\0';) {
			end += strcspn(end + (*end == ' '), " ") + (*end == ' ');
			add_context(c, name, (size_t)(end - name));
		}
	}
}

/* The context without its last word. */
static void parent_of(const char *context, char parent[32])
{
	const char *space = strrchr(context, ' ');

	snprintf(parent, 32, "%.*s", space ? (int)(space - context) : 0, context);
}

static const char *last_word(const char *context)
{
	const char *space = strrchr(context, ' ');

	return space ? space + 1 : context;
}

static const struct command *command_of(const char *context)
{
	for (unsigned i = 0; i < commands_n; i++) {
		if (strcmp(commands[i].name, context) == 0)
			return &commands[i];
	}
	return NULL;
}

static void each_option(FILE *out, const char *context, const struct shell *shell)
{
	const struct command as_command = {.name = context};

	for (unsigned i = 0; i < command_options_n && *context != '\0'; i++) {
		const struct command_option *o = &command_options[i];
		struct entry entry = {o->name, o->arg, o->help, o->letter};

		if (command_has_option(&as_command, o))
			shell->option(out, context, &entry);
	}
	if (*context != '\0' && strcmp(context, "run") != 0)
		return;
	for (unsigned i = 0; i < option_rows_n; i++) {
		const struct option_row *row = &option_rows[i];
		struct entry entry = {row->name, row->arg, row->help, row->letter};

		if (row->name && (*context == '\0' || strcmp(row->name, "help") != 0))
			shell->option(out, context, &entry);
	}
}

static void each_word(FILE *out, const char *context, const struct contexts *all,
		      const struct shell *shell)
{
	char parent[32];

	for (unsigned i = 1; i < all->n; i++) {
		const struct command *command = command_of(all->name[i]);

		parent_of(all->name[i], parent);
		if (strcmp(parent, context) == 0)
			shell->word(out, context, last_word(all->name[i]),
				    command ? command->summary : "A group of commands.");
	}
}

/* ---- what an argument's form says ---- */

enum values { VALUES_NONE, VALUES_WORDS, VALUES_FILES, VALUES_NETWORKS };

/* "[error|warn]": one of these words, nothing that stands for something else. */
static bool is_choice(const char *args)
{
	return strchr(args, '|') && args[strspn(args, "abcdefghijklmnopqrstuvwxyz|-[]")] == '\0';
}

static enum values values_of(const char *context, const struct entry *e)
{
	static const char *const files[] = {"PATH", "FILE", "DIR"};

	if (!e->arg)
		return VALUES_NONE;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (strstr(e->arg, files[i]))
			return VALUES_FILES;
	}
	if (strcmp(e->name, "name") == 0 && *context != '\0' && strcmp(context, "run") != 0)
		return VALUES_NETWORKS;
	/* "on|off" */
	return is_choice(e->arg) ? VALUES_WORDS : VALUES_NONE;
}

static void put_words(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text != '[' && *text != ']')
			fputc(*text == '|' ? ' ' : *text, out);
	}
}

/* The first sentence, inside of single quotes of any of the shells. */
static void put_help(FILE *out, const char *text)
{
	for (; *text != '\0' && !(text[0] == '.' && (text[1] == ' ' || text[1] == '\0')) &&
	       *text != ';';
	     text++)
		fputs(*text == '\'' ? "’" : *text == '\\' ? "/" : (char[]){*text, '\0'}, out);
}

/* ---- bash ---- */

static void bash_option(FILE *out, const char *context, const struct entry *e)
{
	enum values values = values_of(context, e);

	if (!e->arg)
		return;
	fprintf(out, "\t\"%s:--%s\"", context, e->name);
	if (e->letter)
		fprintf(out, " | \"%s:-%c\"", context, e->letter);
	fputs(") ", out);
	if (values == VALUES_WORDS) {
		fputs("words='", out);
		put_words(out, e->arg);
		fputc('\'', out);
	} else {
		fputs(values == VALUES_FILES      ? "files=1"
		      : values == VALUES_NETWORKS ? "words=$(_lwnat_networks)"
						  : "words=",
		      out);
	}
	fputs(" ;;\n", out);
}

static void bash_name(FILE *out, const char *context, const struct entry *e)
{
	fprintf(out, "\t\t\"%s\") words+=' --%s", context, e->name);
	if (e->letter)
		fprintf(out, " -%c", e->letter);
	fputs("' ;;&\n", out);
}

static void bash_word(FILE *out, const char *context, const char *word, const char *help)
{
	(void)help;
	fprintf(out, "\t\t\"%s\") words+=' %s' ;;&\n", context, word);
}

static void bash_rest(FILE *out, const char *context, const char *args)
{
	if (strstr(args, "GUEST"))
		fprintf(out, "\t\t\"%s\") words+=\" $(_lwnat_guests)\" ;;&\n", context);
	if (strstr(args, "FILE") || strstr(args, "QEMU") || strstr(args, "SSH"))
		fprintf(out, "\t\t\"%s\") files=1 ;;&\n", context);
	if (is_choice(args)) {
		fprintf(out, "\t\t\"%s\") words+=' ", context);
		put_words(out, args);
		fputs("' ;;&\n", out);
	}
}

static const char lists[] =
    "_lwnat_networks() { lwnat ctl networks 2>/dev/null | awk 'NR > 1 { print $1 }'; }\n"
    "_lwnat_guests() {\n"
    "\tlwnat ctl guests 2>/dev/null | awk 'NR > 1 { print $1 != \"-\" ? $1 : $2 }'\n"
    "}\n";

static void print_contexts(FILE *out, const struct contexts *all, const char *separator)
{
	for (unsigned i = 1; i < all->n; i++)
		fprintf(out, "%s\"%s\"", i > 1 ? separator : "", all->name[i]);
}

static void print_bash(FILE *out, const struct contexts *all)
{
	static const struct shell values = {.option = bash_option};
	static const struct shell names = {.option = bash_name, .word = bash_word};

	fprintf(out,
		"# bash completion for lwnat: source <(lwnat completion bash)\n%s"
		"_lwnat() {\n"
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
		"\tlocal command='' words='-' files='' i next\n"
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		"\t\tnext=\"${command:+$command }${COMP_WORDS[i]}\"\n"
		"\t\tcase $next in\n\t\t",
		lists);
	print_contexts(out, all, " | ");
	fputs(") command=$next ;;\n\t\tesac\n\tdone\n\tcase $command:$prev in\n", out);
	for (unsigned i = 0; i < all->n; i++)
		each_option(out, all->name[i], &values);
	fputs("\tesac\n\tif [ \"$words$files\" = - ]; then\n\t\twords=\n\t\tif [[ $cur == -* ]]; "
	      "then\n\t\tcase $command in\n",
	      out);
	for (unsigned i = 0; i < all->n; i++)
		each_option(out, all->name[i], &names);
	fputs("\t\tesac\n\t\telse\n\t\tcase $command in\n", out);
	for (unsigned i = 0; i < all->n; i++) {
		const struct command *command = command_of(all->name[i]);

		each_word(out, all->name[i], all, &names);
		if (command)
			bash_rest(out, all->name[i], command->args);
	}
	fputs("\t\tesac\n\t\tfi\n\tfi\n"
	      "\t# shellcheck disable=SC2207\n"
	      "\tCOMPREPLY=($(compgen ${files:+-f} -W \"${words#-}\" -- \"$cur\"))\n"
	      "}\n"
	      "complete -o filenames -F _lwnat lwnat\n",
	      out);
}

/* ---- zsh ---- */

static void zsh_name(FILE *out, const char *context, const struct entry *e)
{
	fprintf(out, "\t'%s') list+=('--%s:", context, e->name);
	put_help(out, e->help);
	fputc('\'', out);
	if (e->letter) {
		fprintf(out, " '-%c:", e->letter);
		put_help(out, e->help);
		fputc('\'', out);
	}
	fputs(") ;|\n", out);
}

static void zsh_value(FILE *out, const char *context, const struct entry *e)
{
	enum values values = values_of(context, e);

	if (!e->arg)
		return;
	fprintf(out, "\t'%s:--%s'", context, e->name);
	if (e->letter)
		fprintf(out, "|'%s:-%c'", context, e->letter);
	fputs(") ", out);
	if (values == VALUES_WORDS) {
		fputs("compadd -- ", out);
		put_words(out, e->arg);
	} else {
		fputs(values == VALUES_FILES      ? "_files"
		      : values == VALUES_NETWORKS ? "compadd -- $(_lwnat_networks)"
						  : "_message value",
		      out);
	}
	fputs("; return ;;\n", out);
}

static void zsh_word(FILE *out, const char *context, const char *word, const char *help)
{
	fprintf(out, "\t'%s') list+=('%s:", context, word);
	put_help(out, help);
	fputs("') ;|\n", out);
}

static void zsh_rest(FILE *out, const char *context, const char *args)
{
	if (strstr(args, "GUEST"))
		fprintf(out, "\t'%s') compadd -- $(_lwnat_guests) ;|\n", context);
	if (strstr(args, "FILE") || strstr(args, "QEMU") || strstr(args, "SSH"))
		fprintf(out, "\t'%s') _files ;|\n", context);
	if (strstr(args, "QEMU"))
		fprintf(out, "\t'%s') _command_names -e ;|\n", context);
	if (is_choice(args)) {
		fprintf(out, "\t'%s') compadd -- ", context);
		put_words(out, args);
		fputs(" ;|\n", out);
	}
}

static void print_zsh(FILE *out, const struct contexts *all)
{
	static const struct shell values = {.option = zsh_value};
	static const struct shell names = {.option = zsh_name, .word = zsh_word};

	fprintf(out,
		"#compdef lwnat\n# zsh completion for lwnat: source <(lwnat completion zsh)\n%s"
		"_lwnat() {\n\tlocal command='' next i\n\tlocal -a list\n"
		"\tfor ((i = 2; i < CURRENT; i++)); do\n"
		"\t\tnext=\"${command:+$command }${words[i]}\"\n\t\tcase $next in\n\t\t",
		lists);
	print_contexts(out, all, "|");
	fputs(") command=$next ;;\n\t\tesac\n\tdone\n\tcase $command:${words[CURRENT - 1]} in\n",
	      out);
	for (unsigned i = 0; i < all->n; i++)
		each_option(out, all->name[i], &values);
	fputs("\tesac\n\tif [[ ${words[CURRENT]} == -* ]]; then\n\tcase $command in\n", out);
	for (unsigned i = 0; i < all->n; i++)
		each_option(out, all->name[i], &names);
	fputs("\tesac\n\t_describe -o option list\n\treturn\n\tfi\n\tcase $command in\n", out);
	for (unsigned i = 0; i < all->n; i++) {
		const struct command *command = command_of(all->name[i]);

		each_word(out, all->name[i], all, &names);
		if (command)
			zsh_rest(out, all->name[i], command->args);
	}
	fputs("\tesac\n\t((!$#list)) || _describe command list\n}\n"
	      "if [ \"$funcstack[1]\" = _lwnat ]; then\n\t_lwnat \"$@\"\nelse\n"
	      "\tcompdef _lwnat lwnat\nfi\n",
	      out);
}

/* ---- fish ---- */

static void fish_begin(FILE *out, const char *context)
{
	fprintf(out, "complete -c lwnat -n '__lwnat_at \"%s\"'", context);
}

static void fish_option(FILE *out, const char *context, const struct entry *e)
{
	enum values values = values_of(context, e);

	fish_begin(out, context);
	fprintf(out, " -l %s", e->name);
	if (e->letter)
		fprintf(out, " -s %c", e->letter);
	if (values == VALUES_WORDS) {
		fputs(" -x -a '", out);
		put_words(out, e->arg);
		fputc('\'', out);
	} else if (e->arg) {
		fputs(values == VALUES_FILES      ? " -r -F"
		      : values == VALUES_NETWORKS ? " -x -a '(__lwnat_networks)'"
						  : " -x",
		      out);
	}
	fputs(" -d '", out);
	put_help(out, e->help);
	fputs("'\n", out);
}

static void fish_word(FILE *out, const char *context, const char *word, const char *help)
{
	fish_begin(out, context);
	fprintf(out, " -a %s -d '", word);
	put_help(out, help);
	fputs("'\n", out);
}

static void fish_rest(FILE *out, const char *context, const char *args)
{
	if (strstr(args, "GUEST")) {
		fish_begin(out, context);
		fputs(" -a '(__lwnat_guests)'\n", out);
	}
	if (strstr(args, "FILE") || strstr(args, "QEMU") || strstr(args, "SSH")) {
		fish_begin(out, context);
		fputs(" -F\n", out);
	}
	if (is_choice(args)) {
		fish_begin(out, context);
		fputs(" -a '", out);
		put_words(out, args);
		fputs("'\n", out);
	}
}

static void print_fish(FILE *out, const struct contexts *all)
{
	static const struct shell names = {.option = fish_option, .word = fish_word};

	fputs("# fish completion for lwnat: lwnat completion fish | source\n"
	      "function __lwnat_networks\n"
	      "    lwnat ctl networks 2>/dev/null | awk 'NR > 1 { print $1 }'\nend\n"
	      "function __lwnat_guests\n"
	      "    lwnat ctl guests 2>/dev/null | awk 'NR > 1 { print $1 != \"-\" ? $1 : $2 }'\n"
	      "end\n"
	      "# Succeeds when the words before the cursor are this command.\n"
	      "function __lwnat_at\n    set -l command\n"
	      "    for word in (commandline -opc)[2..-1]\n"
	      "        set -l next (string join ' ' -- $command $word)\n"
	      "        if contains -- $next ",
	      out);
	print_contexts(out, all, " ");
	fputs("\n            set command $next\n        end\n    end\n"
	      "    test \"$command\" = \"$argv[1]\"\nend\ncomplete -c lwnat -f\n",
	      out);
	for (unsigned i = 0; i < all->n; i++) {
		const struct command *command = command_of(all->name[i]);

		each_option(out, all->name[i], &names);
		each_word(out, all->name[i], all, &names);
		if (command)
			fish_rest(out, all->name[i], command->args);
	}
}

int completion_print(FILE *out, const char *shell)
{
	struct contexts all;

	find_contexts(&all);
	if (strcmp(shell, "bash") == 0)
		print_bash(out, &all);
	else if (strcmp(shell, "zsh") == 0)
		print_zsh(out, &all);
	else if (strcmp(shell, "fish") == 0)
		print_fish(out, &all);
	else
		return -EINVAL;
	return 0;
}

int cmd_completion(const struct command_line *line)
{
	char quoted[OPTIONS_QUOTE_MAX];

	if (completion_print(stdout, line->args[0]) == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "lwnat completion: '%s': is no shell of these (accepted: bash|zsh|fish)\n",
		options_quote(line->args[0], quoted));
	return EXIT_USAGE;
}
