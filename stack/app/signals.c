#include "stack/app/signals.h"

#include "stack/base/log.h"
#include "stack/link/poller_uv.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

static const int numbers[SIGNALS_N] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

static void reopen_log(void)
{
	int result = log_reopen();

	if (result < 0)
		log_err_errno(result, "--log-file: cannot be opened again, the old one is kept");
	else
		log_asked("log: opened again");
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct signals *signals = handle->data;

	if (number == SIGUSR1) {
		signals->status(signals->ctx);
	} else if (number == SIGHUP && log_has_file()) {
		reopen_log();
	} else {
		log_debug("ending: signal %d", number);
		poller_uv_stop(handle->loop);
	}
}

static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static bool stays_ignored(int number)
{
	if (number == SIGHUP && log_has_file())
		return false;
	return (number == SIGINT || number == SIGHUP) && is_ignored(number);
}

void signals_init(struct signals *signals, uv_loop_t *loop)
{
	for (size_t i = 0; i < SIGNALS_N; i++) {
		uv_signal_init(loop, &signals->handle[i]);
		signals->handle[i].data = signals;
		if (!stays_ignored(numbers[i]))
			uv_signal_start(&signals->handle[i], on_signal, numbers[i]);
	}
}

void signals_close(struct signals *signals)
{
	for (size_t i = 0; i < SIGNALS_N; i++)
		uv_close((uv_handle_t *)&signals->handle[i], NULL);
}
