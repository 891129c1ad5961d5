#include "stack/app/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};

static void measure(struct screen *s)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
		s->width = size.ws_col;
		s->height = size.ws_row;
	} else {
		s->width = 80;
		s->height = 24;
	}
}

int screen_open(struct screen *s, bool live)
{
	struct termios raw;
	sigset_t set;

	memset(s, 0, sizeof(*s));
	s->live = live && isatty(STDOUT_FILENO);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	if (!s->live)
		return 0;
	measure(s);
	if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &s->before) == 0) {
		raw = s->before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VMIN] = 0;
		raw.c_cc[VTIME] = 0;
		s->has_before = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	/* The other screen of the terminal, so that what was there comes back; and no cursor. */
	fputs("\033[?1049h\033[?25l", stdout);
	return 0;
}

void screen_close(struct screen *s)
{
	if (s->live)
		fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (s->has_before)
		tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
	if (s->signals >= 0)
		close(s->signals);
}

/* true when it is over */
static bool read_keys(void)
{
	char keys[32];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	return n > 0 && (memchr(keys, 'q', (size_t)n) || memchr(keys, 'Q', (size_t)n) ||
			 memchr(keys, 3, (size_t)n));
}

enum screen_event screen_wait(struct screen *s, int ms)
{
	struct pollfd polled[] = {{.fd = s->signals, .events = POLLIN},
				  {.fd = s->has_before ? STDIN_FILENO : -1, .events = POLLIN}};
	struct signalfd_siginfo info;
	int n = poll(polled, 2, ms);

	if (n <= 0)
		return SCREEN_TIMEOUT;
	if (polled[1].revents && read_keys())
		return SCREEN_QUIT;
	if (polled[1].revents & (POLLHUP | POLLERR))
		return SCREEN_QUIT;
	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGWINCH)
			return SCREEN_QUIT;
		if (s->live)
			measure(s);
	}
	return SCREEN_RESIZED;
}

void screen_show(struct screen *s, const char *text)
{
	unsigned lines = 0;

	if (!s->live) {
		fputs(text, stdout);
		fflush(stdout);
		return;
	}
	fputs("\033[H", stdout);
	while (*text != '\0' && lines < s->height) {
		size_t len = strcspn(text, "\n");

		/* Not behind the last line: that would move all of them up. */
		printf("%s%.*s\033[K", lines > 0 ? "\r\n" : "", (int)len, text);
		lines++;
		text += len + (text[len] == '\n');
	}
	fputs("\033[J", stdout);
	fflush(stdout);
}
