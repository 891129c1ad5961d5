#include "stack/app/run_args.h"

#include "stack/app/options_table.h"
#include "stack/app/run_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* QEMU options that end it, or that say there is no default network (qemu-options.hx). */
static const char *const no_default_network[] = {"nodefaults", "readconfig", "h",
						 "help",       "version",    NULL};
/* Options whose value may be any text, also one that looks like an option. */
static const char *const free_text[] = {"append", "name", "title", "prom-env", NULL};
/* Words that -nic takes for the NIC itself (net_param_nic() of QEMU's net/net.c). */
static const char *const nic_words[] = {"model", "mac", NULL};

static bool is_one_of(const char *word, const char *const list[])
{
	for (unsigned i = 0; list[i]; i++) {
		if (strcmp(word, list[i]) == 0)
			return true;
	}
	return false;
}

/* QEMU takes two dashes for one. NULL when it is no option. */
static const char *option_name(const char *arg)
{
	if (arg[0] != '-' || arg[1] == '\0')
		return NULL;
	return arg[1] == '-' ? arg + 2 : arg + 1;
}

static const char *form_name(enum run_form form)
{
	return form == RUN_NETDEV ? "netdev" : form == RUN_NIC ? "nic" : "net";
}

static bool is_network_option(const char *arg, enum run_form *ret)
{
	const char *name = option_name(arg);

	for (enum run_form form = RUN_NETDEV; name && form <= RUN_NET; form++) {
		if (strcmp(name, form_name(form)) == 0) {
			*ret = form;
			return true;
		}
	}
	return false;
}

/* ---- one option ---- */

static bool is_user(enum run_form form, const struct run_words *words)
{
	const char *type = run_words_get(words, "type");

	return type ? strcmp(type, "user") == 0 : form == RUN_NIC;
}

/* Where a word goes: to lwnat, to QEMU, or to both. -EINVAL when QEMU has no such word. */
static int sort_word(struct run_network *n, const struct run_word *word, FILE *ours, FILE *kept)
{
	struct run_word renamed = *word;

	if (strcmp(word->name, "type") == 0)
		return 0;
	if (strcmp(word->name, "ip") == 0)
		renamed.name = (char *)"net"; /* its old name */
	if (strcmp(word->name, "id") == 0 ||
	    (n->form == RUN_NIC && is_one_of(word->name, nic_words))) {
		fputc(',', kept);
		run_word_print(kept, word);
		return 0;
	}
	if (!option_row_by_qemu(renamed.name))
		return -EINVAL;
	fputc(',', ours);
	run_word_print(ours, &renamed);
	return 0;
}

/* The network is called as the id where QEMU takes it for one (util/id.c, id_wellformed()). */
static void name_network(struct run_network *n, const char *id, unsigned nics_before)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static const char others[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789-._";

	if (id && *id != '\0' && strchr(letters, *id) && id[strspn(id, others)] == '\0' &&
	    strlen(id) < RUN_NAME_MAX)
		memcpy(n->name, id, strlen(id) + 1);
	else
		snprintf(n->name, RUN_NAME_MAX, "nic%u", nics_before);
}

static int fail(const struct run_plan *plan, const struct run_network *n, char **ret_error,
		const char *what)
{
	const char *slash = strrchr(plan->argv[0], '/');

	if (asprintf(ret_error, "%s: %s: %s", slash ? slash + 1 : plan->argv[0], n->option, what) <
	    0)
		return -ENOMEM;
	return -EINVAL;
}

static int fail_word(const struct run_plan *plan, const struct run_network *n,
		     const struct run_words *words, unsigned i, char **ret_error)
{
	char what[160];

	snprintf(what, sizeof(what),
		 words->json ? "Parameter '%.100s' is unexpected" : "Invalid parameter '%.100s'",
		 words->word[i].name);
	return fail(plan, n, ret_error, what);
}

static int sort_words(struct run_plan *plan, struct run_network *n, const struct run_words *words,
		      char **ret_error)
{
	size_t ours_len, kept_len;
	FILE *ours = open_memstream(&n->netdev, &ours_len);
	FILE *kept = ours ? open_memstream(&n->kept, &kept_len) : NULL;
	unsigned i = words->n;

	if (kept) {
		fputs("user", ours);
		for (i = 0; i < words->n && sort_word(n, &words->word[i], ours, kept) == 0; i++)
			;
		fclose(kept);
	}
	if (ours)
		fclose(ours);
	if (!kept || !n->netdev || !n->kept)
		return -ENOMEM;
	if (i < words->n)
		return fail_word(plan, n, words, i, ret_error);
	if (n->form == RUN_NETDEV && !run_words_get(words, "id"))
		return fail(plan, n, ret_error, "Parameter 'id' is missing");
	return 0;
}

static void network_free(struct run_network *n)
{
	free(n->netdev);
	free(n->option);
	free(n->kept);
}

/* Adds the network when the option is one; another's option stays as it is, as does JSON that
 * QEMU will not like. */
static int take_option(struct run_plan *plan, unsigned at, enum run_form form, char **ret_error)
{
	struct run_network *n = &plan->network[plan->networks_n];
	struct run_words words;
	int result = run_words_parse(&words, plan->argv[at]);

	if (result < 0)
		return result == -EINVAL ? 0 : result;
	if ((words.json && form != RUN_NETDEV) || !is_user(form, &words))
		goto out;
	memset(n, 0, sizeof(*n));
	n->form = form;
	n->at = at;
	if (asprintf(&n->option, "%s %s", plan->argv[at - 1], plan->argv[at]) < 0) {
		n->option = NULL;
		result = -ENOMEM;
		goto out;
	}
	name_network(n, run_words_get(&words, "id"), plan->networks_n);
	result = sort_words(plan, n, &words, ret_error);
	if (result == 0)
		plan->networks_n++;
	else
		network_free(n);
out:
	run_words_free(&words);
	return result;
}

/* ---- the command line ---- */

static int copy_argv(struct run_plan *plan, char *const argv[])
{
	while (argv[plan->argc])
		plan->argc++;
	/* Room for "-nic user" and NULL. */
	plan->argv = calloc(plan->argc + 3, sizeof(*plan->argv));
	if (!plan->argv)
		return -ENOMEM;
	for (unsigned i = 0; i < plan->argc; i++) {
		plan->argv[i] = strdup(argv[i]);
		if (!plan->argv[i])
			return -ENOMEM;
	}
	return 0;
}

/* QEMU makes a NIC and a user network where no option speaks of any. */
static bool has_default_network(const struct run_plan *plan)
{
	enum run_form form;

	for (unsigned i = 1; i < plan->argc; i++) {
		const char *name = option_name(plan->argv[i]);

		if (name && (is_one_of(name, no_default_network) ||
			     is_network_option(plan->argv[i], &form)))
			return false;
	}
	return true;
}

static int add_default_network(struct run_plan *plan, char **ret_error)
{
	char *option = strdup("-nic"), *value = strdup("user");

	if (!option || !value) {
		free(option);
		free(value);
		return -ENOMEM;
	}
	plan->argv[plan->argc++] = option;
	plan->argv[plan->argc++] = value;
	return take_option(plan, plan->argc - 1, RUN_NIC, ret_error);
}

static int find_networks(struct run_plan *plan, char **ret_error)
{
	enum run_form form;
	int result = 0;

	for (unsigned i = 1; i + 1 < plan->argc && result == 0; i++) {
		const char *name = option_name(plan->argv[i]);

		if (name && is_one_of(name, free_text)) {
			i++;
		} else if (is_network_option(plan->argv[i], &form)) {
			if (plan->networks_n == RUN_NETWORKS_MAX)
				return asprintf(ret_error, "lwnat run: more than %d user networks",
						RUN_NETWORKS_MAX) < 0
					   ? -ENOMEM
					   : -EINVAL;
			result = take_option(plan, ++i, form, ret_error);
		}
	}
	return result;
}

int run_plan_make(struct run_plan *ret, char *const argv[], char **ret_error)
{
	int result;

	memset(ret, 0, sizeof(*ret));
	*ret_error = NULL;
	result = copy_argv(ret, argv);
	if (result == 0 && has_default_network(ret))
		result = add_default_network(ret, ret_error);
	else if (result == 0)
		result = find_networks(ret, ret_error);
	if (result < 0)
		run_plan_free(ret);
	return result;
}

void run_plan_free(struct run_plan *plan)
{
	for (unsigned i = 0; plan->argv && i < plan->argc; i++)
		free(plan->argv[i]);
	free(plan->argv);
	for (unsigned i = 0; i < plan->networks_n; i++)
		network_free(&plan->network[i]);
	memset(plan, 0, sizeof(*plan));
}

/* -nic and -net know no 'stream' (QEMU 10), but 'socket', which speaks the same. */
int run_plan_connect(struct run_plan *plan, unsigned i, int fd, struct qemu_version v)
{
	const struct run_network *n = &plan->network[i];
	bool has_stream = v.major > 7 || (v.major == 7 && v.minor >= 2);
	char *value;

	if (n->form == RUN_NETDEV && has_stream
		? asprintf(&value, "stream%s,addr.type=fd,addr.str=%d", n->kept, fd) < 0
		: asprintf(&value, "socket,fd=%d%s", fd, n->kept) < 0)
		return -ENOMEM;
	free(plan->argv[n->at]);
	plan->argv[n->at] = value;
	return 0;
}
