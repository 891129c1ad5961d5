/* An upstream server's answer. Input: a byte (1: over TCP, 2: the question is copied into the
 * answer), the query's length in two bytes, the query, the answer. */
#include "dns/dns_msg.h"
#include "dns/dnsfwd.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_reply(const struct dnsfwd_pending *pending, size_t answer_len,
			const struct wire_out *reply)
{
	struct wire_in in = wire_in(reply->start, wire_len(reply));
	struct dns_header header;
	const uint8_t *question;

	dns_header_get(&in, &header);
	question = wire_get(&in, pending->question_len);
	assert(!reply->bad && question);
	assert(header.id == pending->id && header.flags & DNS_FLAG_QR && header.question_n == 1);
	assert(memcmp(question, pending->question, pending->question_len) == 0);
	assert(pending->over_tcp || wire_len(reply) <= pending->udp_max);
	assert(wire_len(reply) == answer_len || header.flags & DNS_FLAG_TC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dnsfwd_config config = {.domain = "lwnat.internal"};
	static uint8_t bytes[DNSFWD_MESSAGE_MAX];
	struct wire_out reply = wire_out(bytes, sizeof(bytes));
	struct wire_in in = wire_in(data, len);
	uint8_t flags = wire_get_u8(&in);
	uint16_t query_len = wire_get_u16(&in);
	struct wire_in query = wire_get_in(&in, query_len);
	struct dnsfwd_pending pending;
	struct dnsfwd *fwd;
	size_t answer_len = wire_left(&in);

	if (query.bad || dnsfwd_new(&fwd, &config) < 0)
		return 0;
	if (answer_len > DNSFWD_MESSAGE_MAX)
		answer_len = DNSFWD_MESSAGE_MAX;
	if (dnsfwd_query(fwd, query, flags & 1, &reply, &pending) == DNSFWD_FORWARD) {
		uint8_t *answer = malloc(answer_len + 1);
		assert(answer);
		memcpy(answer, in.at, answer_len);
		/* Mutations rarely agree on a question by themselves. */
		if (flags & 2 && answer_len >= DNS_HEADER_LEN + (size_t)pending.question_len)
			memcpy(answer + DNS_HEADER_LEN, pending.question, pending.question_len);
		if (dnsfwd_answer(fwd, &pending, wire_in(answer, answer_len), &reply))
			check_reply(&pending, answer_len, &reply);
		else
			assert(wire_len(&reply) == 0);
		free(answer);
	}
	dnsfwd_free(fwd);
	return 0;
}
