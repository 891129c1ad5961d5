/* What the commands do: each is handed its parsed line and returns the program's exit status. */
#ifndef LWNAT_APP_CMD_H
#define LWNAT_APP_CMD_H

struct command_line;

int cmd_run(const struct command_line *line); /* returns only when QEMU could not be run */
int cmd_ssh(const struct command_line *line); /* returns only when ssh could not be run */
int cmd_connect(const struct command_line *line);
int cmd_wait(const struct command_line *line);

int cmd_completion(const struct command_line *line);

int cmd_networks(const struct command_line *line);
int cmd_status(const struct command_line *line);
int cmd_guests(const struct command_line *line);
int cmd_leases(const struct command_line *line);
int cmd_flows(const struct command_line *line);
int cmd_top(const struct command_line *line);
int cmd_why(const struct command_line *line);
int cmd_ping(const struct command_line *line);
int cmd_hostfwd_add(const struct command_line *line);
int cmd_hostfwd_remove(const struct command_line *line);
int cmd_hostfwd_list(const struct command_line *line);
int cmd_pcap_start(const struct command_line *line);
int cmd_pcap_stop(const struct command_line *line);
int cmd_pcap_list(const struct command_line *line);
int cmd_pcap_stream(const struct command_line *line);
int cmd_dns(const struct command_line *line);
int cmd_log(const struct command_line *line);
int cmd_log_level(const struct command_line *line);
int cmd_metrics(const struct command_line *line);

#endif
