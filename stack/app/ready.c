#include "stack/app/ready.h"

#include "stack/app/notify.h"
#include "stack/base/log.h"

#include <errno.h>
#include <stdio.h>

/* As "tcp::41873-web:22": what 'lwnat ctl hostfwd list' says too. */
static void write_forwards(FILE *out, const struct forwards *forwards)
{
	struct forward_info info;

	for (const struct forward *f = forwards_next(forwards, NULL); f;
	     f = forwards_next(forwards, f)) {
		forward_info(f, &info);
		fprintf(out, "hostfwd %s\n", info.text);
	}
}

void ready_tell(int fd, const struct forwards *forwards)
{
	FILE *out;

	fputs("ready\n", stdout);
	fflush(stdout);
	if (fd >= 0) {
		out = fdopen(fd, "w");
		if (out) {
			write_forwards(out, forwards);
			fputs("ready\n", out);
		}
		if (!out || fclose(out) != 0)
			log_warn_errno(errno, "--ready-fd: cannot write to %d", fd);
	}
	notify_ready();
}
