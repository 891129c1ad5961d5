/* /metrics of the real program. */
#include "tests/support/ctl.h"
#include "tests/support/prom.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

/* The text is the caller's. */
static char *metrics(struct wire *wire)
{
	struct ctl_reply reply;
	char *text;

	ctl_ask(wire, "GET", "/metrics", NULL, &reply);
	ck_assert_int_eq(reply.status, 200);
	prom_check(reply.body, reply.body_len);
	text = strdup(reply.body);
	ctl_reply_free(&reply);
	return text;
}

/* What a scraper of the distribution makes of it, where there is one. */
static void check_with_packaged_parser(const char *text)
{
	static const char command[] =
	    "/usr/bin/python3 -c 'import sys\n"
	    "try:\n"
	    " from prometheus_client.parser import text_string_to_metric_families as parse\n"
	    "except ImportError:\n"
	    " sys.stdin.read(); sys.exit(0)\n"
	    "families = list(parse(sys.stdin.read()))\n"
	    "sys.exit(0 if len(families) > 20 and all(f.documentation and f.type in "
	    "(\"counter\", \"gauge\") for f in families) else 3)'";
	FILE *in;

	if (access("/usr/bin/python3", X_OK) < 0)
		return;
	in = popen(command, "w");
	ck_assert_ptr_nonnull(in);
	fputs(text, in);
	ck_assert_int_eq(pclose(in), 0);
}

START_TEST(test_metrics_count_what_happened)
{
	struct sim_tcp_setup setup = {.wscale = 7, .send_seed = 1, .recv_seed = 1};
	struct sim_tcp *tcp;
	struct wire wire;
	uint16_t port;
	char *text;

	wire_start(&wire, "--hostfwd|tcp:127.0.0.1:0-:22");
	port = wire_tcp_echo(&wire);
	text = metrics(&wire);
	ck_assert(prom_value(text, "lwnat_guests") == 0);
	ck_assert(prom_value(text, "lwnat_hostfwd_rules") == 1);
	free(text);
	wire_add_guest(&wire, 0);
	setup.send_total = MIB;
	tcp = wire_connect_out(&wire, 0, 40000, port, &setup);
	WIRE_UNTIL(&wire, tcp->received == MIB);
	text = metrics(&wire);
	ck_assert(prom_value(text, "lwnat_guests") == 1);
	ck_assert(prom_value(text, "lwnat_flows{protocol=\"tcp\"}") == 1);
	ck_assert(prom_value(text, "lwnat_flows_opened_total{protocol=\"tcp\"}") == 1);
	ck_assert(prom_value(text, "lwnat_guest_bytes_total{port=\"port1\",name=\"\",direction="
				   "\"from_guest\"}") > (double)MIB);
	ck_assert(prom_value(text, "lwnat_guest_flows{port=\"port1\",name=\"\",protocol="
				   "\"tcp\"}") == 1);
	ck_assert(prom_value(text, "lwnat_dhcp_messages_total{version=\"4\",result=\"acked\"}") >=
		  1);
	ck_assert(prom_value(text, "lwnat_dropped_packets_total{reason=\"malformed\"}") >= 0);
	check_with_packaged_parser(text);
	free(text);
	wire_finish(&wire);
}
END_TEST

int main(void)
{
	return SUITE_RUN("metrics", test_metrics_count_what_happened);
}
