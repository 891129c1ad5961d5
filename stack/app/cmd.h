/* What the commands do: each is handed its parsed line and returns the program's exit status. */
#ifndef LWNAT_APP_CMD_H
#define LWNAT_APP_CMD_H

struct command_line;

int cmd_run(const struct command_line *line); /* returns only when QEMU could not be run */

#endif
