/* A guest's query: whatever it is, the reply fits, is a reply, and says the same over UDP and TCP.
 */
#include "dns/dns_msg.h"
#include "dns/dnsfwd.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A guest for every label that begins with 'g': many names meet it, many do not. */
static bool guest_addr(void *ctx, const char *label, bool v6, struct addr *ret)
{
	(void)ctx;
	assert(strlen(label) < DNS_LABEL_TEXT_MAX);
	*ret = v6 ? (struct addr){{0xfe, 0xc0, [15] = 0x15}} : addr_v4(0x0a00020f);
	return label[0] == 'g' && (!v6 || label[1] != '4');
}

static bool guest_name(void *ctx, const struct addr *addr, char ret[64])
{
	(void)ctx;
	memset(ret, 'n', 63);
	ret[63] = '\0';
	return addr->b[15] & 1;
}

static struct dnsfwd *make_forwarder(void)
{
	struct dnsfwd_config config = {
	    .domain = "lwnat.internal",
	    .host4 = addr_v4(0x0a000202),
	    .host6 = {{0xfe, 0xc0, [15] = 2}},
	    .net4 = {addr_v4(0x0a000200), 24},
	    .net6 = {{{0xfe, 0xc0}}, 64},
	    .search = "corp.example",
	    .name_to_addr = guest_addr,
	    .addr_to_name = guest_name,
	};
	struct dnsfwd *fwd;
	int status = dnsfwd_new(&fwd, &config);

	assert(status == 0);
	return fwd;
}

static void check_reply(const struct wire_out *reply, const uint8_t *query)
{
	struct wire_in in = wire_in(reply->start, wire_len(reply));
	struct dns_header header;

	assert(!reply->bad && wire_len(reply) <= DNS_UDP_PLAIN_MAX);
	dns_header_get(&in, &header);
	assert(!in.bad && header.flags & DNS_FLAG_QR && header.question_n <= 1);
	assert(memcmp(reply->start, query, 2) == 0);
	/* As a query it must be one that can be walked to its end. */
	reply->start[2] &= 0x7f;
	if (header.question_n && !(header.flags & DNS_FLAG_OPCODE)) {
		struct dns_query q;
		enum dns_verdict verdict =
		    dns_query_get(wire_in(reply->start, wire_len(reply)), &q);
		assert(verdict == DNS_QUERY_OK);
	}
}

static void check_upstream(const uint8_t *data, size_t len)
{
	uint8_t bytes[DNSFWD_MESSAGE_MAX];
	struct wire_out out = wire_out(bytes, len);
	struct dns_query before, after;
	bool edns = dns_query_put_upstream(wire_in(data, len), 0x1234, 1232, &out);

	assert(!out.bad && wire_len(&out) <= len);
	assert(dns_query_get(wire_in(data, len), &before) == DNS_QUERY_OK);
	assert(dns_query_get(wire_in(bytes, wire_len(&out)), &after) == DNS_QUERY_OK);
	assert(after.header.id == 0x1234 && dns_name_eq(&before.name, &after.name));
	assert(before.type == after.type && before.edns.present == after.edns.present);
	assert(!edns || after.edns.udp_size == 1232);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dnsfwd *fwd = make_forwarder();
	enum dnsfwd_verdict verdict[2];

	if (len > DNSFWD_MESSAGE_MAX)
		len = DNSFWD_MESSAGE_MAX;
	for (int over_tcp = 0; over_tcp <= 1; over_tcp++) {
		uint8_t bytes[DNS_UDP_PLAIN_MAX];
		struct wire_out reply = wire_out(bytes, sizeof(bytes));
		struct dnsfwd_pending pending;

		verdict[over_tcp] =
		    dnsfwd_query(fwd, wire_in(data, len), over_tcp, &reply, &pending);
		if (verdict[over_tcp] == DNSFWD_FORWARD) {
			dnsfwd_servfail(fwd, &pending, &reply);
			check_upstream(data, len);
		}
		if (verdict[over_tcp] != DNSFWD_DROP)
			check_reply(&reply, data);
	}
	assert(verdict[0] == verdict[1]);
	dnsfwd_free(fwd);
	return 0;
}
