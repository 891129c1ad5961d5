#include "stack/app/programs.h"

#include "stack/base/list.h"
#include "stack/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KILL_MS 2000 /* from SIGTERM to SIGKILL */
#define LINE_MAX_LEN 256
#define LOG_BURST 20
#define LOG_MS 10000
#define ENV_OWN 7 /* PROTO, TCP*, and the NULL */
#define ENV_TEXT_MAX (ADDR_TEXT_MAX + 32)

struct programs {
	uv_loop_t *loop;
	struct list running; /* struct process.link */
	unsigned running_n;
	bool closing;
	struct log_limit error_log, limit_log;
};

struct process {
	struct programs *programs;
	struct list link;
	uv_process_t process;
	uv_pipe_t error; /* its standard error */
	uv_timer_t kill_timer;
	unsigned handles_n; /* not yet closed */
	bool ended;         /* reaped: its number may be another's now */
	bool connection_gone;
	uint64_t token;
	struct addr guest;
	char name[PROGRAMS_NAME_MAX];
	char line[LINE_MAX_LEN]; /* of its standard error, not yet complete */
	size_t line_len;
};

int programs_new(struct programs **ret, uv_loop_t *loop)
{
	struct programs *programs = calloc(1, sizeof(*programs));

	if (!programs)
		return -ENOMEM;
	programs->loop = loop;
	list_init(&programs->running);
	*ret = programs;
	return 0;
}

static void free_if_done(struct programs *programs)
{
	if (programs->closing && programs->running_n == 0)
		free(programs);
}

/* ---- its end ---- */

static void on_closed(uv_handle_t *handle)
{
	struct process *p = handle->data;
	struct programs *programs = p->programs;

	if (--p->handles_n > 0)
		return;
	list_remove(&p->link);
	free(p);
	programs->running_n--;
	free_if_done(programs);
}

static void close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, on_closed);
}

static void signal_group(struct process *p, int number)
{
	if (!p->ended)
		(void)kill(-p->process.pid, number);
}

static void on_kill_timer(uv_timer_t *timer)
{
	signal_group(timer->data, SIGKILL);
}

static void end(struct process *p)
{
	if (p->ended || uv_is_active((uv_handle_t *)&p->kill_timer))
		return;
	signal_group(p, SIGTERM);
	(void)uv_timer_start(&p->kill_timer, on_kill_timer, KILL_MS, 0);
}

/* A program that made itself independent may hold its end for ever. */
static void close_error_if_done(struct process *p)
{
	if (p->ended && (p->connection_gone || p->programs->closing))
		close_handle((uv_handle_t *)&p->error);
}

static void on_exit_of(uv_process_t *process, int64_t status, int number)
{
	struct process *p = process->data;

	/* What it has left in its group goes with it. */
	(void)kill(-process->pid, SIGKILL);
	p->ended = true;
	if (number != 0)
		log_debug("%s: ended by signal %d", p->name, number);
	else
		log_debug("%s: ended with status %d", p->name, (int)status);
	close_handle((uv_handle_t *)&p->process);
	close_handle((uv_handle_t *)&p->kill_timer);
	close_error_if_done(p);
}

/* ---- its standard error ---- */

static void log_line(struct process *p)
{
	struct programs *programs = p->programs;

	if (p->line_len &&
	    log_limit_ok(&programs->error_log, uv_now(programs->loop), LOG_BURST, LOG_MS))
		log_info("%s: %.*s", p->name, (int)p->line_len, p->line);
	p->line_len = 0;
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
	struct process *p = handle->data;

	(void)size;
	*ret = uv_buf_init(p->line + p->line_len, (unsigned)(sizeof(p->line) - p->line_len));
}

static void on_error_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct process *p = stream->data;
	size_t len = p->line_len + (got > 0 ? (size_t)got : 0);
	char text[LINE_MAX_LEN];
	size_t from = 0;

	(void)buf;
	memcpy(text, p->line, len);
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\n')
			continue;
		memcpy(p->line, text + from, i - from);
		p->line_len = i - from;
		log_line(p);
		from = i + 1;
	}
	p->line_len = len - from;
	memcpy(p->line, text + from, p->line_len);
	if (p->line_len == sizeof(p->line) || got < 0)
		log_line(p);
	if (got < 0)
		close_handle((uv_handle_t *)&p->error);
}

/* ---- its start ---- */

static bool is_too_many(struct programs *programs, const struct addr *guest)
{
	unsigned of_guest = 0;

	for (struct list *link = programs->running.next; link != &programs->running;
	     link = link->next) {
		const struct process *p = list_entry(link, struct process, link);
		of_guest += !p->ended && addr_eq(&p->guest, guest);
	}
	return programs->running_n >= PROGRAMS_MAX || of_guest >= PROGRAMS_GUEST_MAX;
}

/* What programs of inetd's and tcpserver's kind look at. */
struct environment {
	char own[ENV_OWN][ENV_TEXT_MAX];
	char **all; /* ours and those; the strings are borrowed */
};

static int environment_make(struct environment *env, const struct program *program)
{
	char guest[ADDR_TEXT_MAX], at[ADDR_TEXT_MAX];
	size_t n = 0;

	while (environ[n])
		n++;
	env->all = calloc(n + ENV_OWN, sizeof(char *));
	if (!env->all)
		return -ENOMEM;
	addr_format(&program->guest.addr, guest);
	addr_format(&program->at.addr, at);
	snprintf(env->own[0], ENV_TEXT_MAX, "PROTO=TCP");
	snprintf(env->own[1], ENV_TEXT_MAX, "TCPREMOTEIP=%s", guest);
	snprintf(env->own[2], ENV_TEXT_MAX, "TCPREMOTEPORT=%u", program->guest.port);
	snprintf(env->own[3], ENV_TEXT_MAX, "TCPLOCALIP=%s", at);
	snprintf(env->own[4], ENV_TEXT_MAX, "TCPLOCALPORT=%u", program->at.port);
	/* The first of a name counts. */
	for (size_t i = 0; i < 5; i++)
		env->all[i] = env->own[i];
	memcpy(env->all + 5, environ, n * sizeof(char *));
	return 0;
}

/* 'error' is the end of the pipe that the program gets. */
static int spawn(struct process *p, const struct program *program, char **env, int error)
{
	uv_stdio_container_t stdio[3] = {
	    {.flags = UV_INHERIT_FD, .data.fd = program->fd},
	    {.flags = UV_INHERIT_FD, .data.fd = program->fd},
	    {.flags = UV_INHERIT_FD, .data.fd = error},
	};
	uv_process_options_t options = {
	    .exit_cb = on_exit_of,
	    .file = program->argv[0],
	    .args = (char **)(void *)program->argv,
	    .env = env,
	    .flags = UV_PROCESS_DETACHED,
	    .stdio_count = 3,
	    .stdio = stdio,
	};
	int flags = fcntl(program->fd, F_GETFL);
	int result;

	/* Programs expect their standard input to wait. */
	(void)fcntl(program->fd, F_SETFL, flags & ~O_NONBLOCK);
	result = uv_spawn(p->programs->loop, &p->process, &options);
	if (result < 0)
		(void)fcntl(program->fd, F_SETFL, flags);
	return result;
}

static struct process *new_process(struct programs *programs, const struct program *program)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->programs = programs;
	p->token = program->token;
	p->guest = program->guest.addr;
	snprintf(p->name, sizeof(p->name), "%s", program->name);
	list_init(&p->link);
	list_append(&programs->running, &p->link);
	programs->running_n++;
	(void)uv_timer_init(programs->loop, &p->kill_timer);
	(void)uv_pipe_init(programs->loop, &p->error, 0);
	p->kill_timer.data = p->error.data = p->process.data = p;
	p->handles_n = 3;
	return p;
}

/* With an environment and a pipe for its standard error. */
static int start(struct programs *programs, const struct program *program, char **env,
		 const int error[2])
{
	struct process *p = new_process(programs, program);
	int result;

	if (!p)
		return -ENOMEM;
	result = spawn(p, program, env, error[1]);
	if (result < 0) {
		p->ended = true;
		if (log_limit_ok(&programs->limit_log, uv_now(programs->loop), 1, LOG_MS))
			log_warn_errno(result, "%s: cannot start '%s'", p->name, program->argv[0]);
		close_handle((uv_handle_t *)&p->process);
		close_handle((uv_handle_t *)&p->kill_timer);
	}
	if (result < 0 || uv_pipe_open(&p->error, error[0]) < 0) {
		close(error[0]);
		close_handle((uv_handle_t *)&p->error);
	} else if (uv_read_start((uv_stream_t *)&p->error, on_alloc, on_error_read) < 0) {
		close_handle((uv_handle_t *)&p->error);
	}
	return result;
}

int programs_run(struct programs *programs, const struct program *program)
{
	struct environment env;
	int error[2], result;

	if (programs->closing)
		return -ECONNREFUSED;
	if (is_too_many(programs, &program->guest.addr)) {
		if (log_limit_ok(&programs->limit_log, uv_now(programs->loop), 1, LOG_MS))
			log_warn("%s: refused, %u programs run (at most %d, %d for one guest)",
				 program->name, programs->running_n, PROGRAMS_MAX,
				 PROGRAMS_GUEST_MAX);
		return -EAGAIN;
	}
	result = environment_make(&env, program);
	if (result < 0)
		return result;
	if (pipe2(error, O_CLOEXEC) == 0) {
		result = start(programs, program, env.all, error);
		close(error[1]);
	} else {
		result = -errno;
	}
	free(env.all);
	if (result == 0)
		close(program->fd);
	return result;
}

/* ---- from outside ---- */

void programs_closed(struct programs *programs, uint64_t token)
{
	for (struct list *link = programs->running.next; link != &programs->running;
	     link = link->next) {
		struct process *p = list_entry(link, struct process, link);

		if (p->token == token) {
			p->connection_gone = true;
			end(p);
			close_error_if_done(p);
			return;
		}
	}
}

unsigned programs_running(const struct programs *programs)
{
	return programs->running_n;
}

void programs_close(struct programs *programs)
{
	if (!programs)
		return;
	programs->closing = true;
	for (struct list *link = programs->running.next; link != &programs->running;
	     link = link->next) {
		struct process *p = list_entry(link, struct process, link);

		end(p);
		close_error_if_done(p);
	}
	free_if_done(programs);
}
