/* An upstream server's answer. Input: a byte (1: over TCP, 2: the question is copied into the
 * answer), the query's length in two bytes, the query, the answer. */
#include "dns/cache.h"
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

/* What is kept is given back as long as it was, then forgotten. */
static void check_cache(const struct dnsfwd_pending *pending, struct wire_in answer)
{
	struct dnscache_config config = {.bytes = 65536, .answers_n = 4};
	uint64_t ttl_ms = dnscache_ttl(answer) * UINT64_C(1000);
	static uint8_t bytes[DNSCACHE_ANSWER_MAX];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct dnscache *cache;
	bool found;

	if (dnscache_new(&cache, &config) < 0)
		return;
	dnscache_put(cache, pending, answer, 1000);
	found = dnscache_get(cache, pending, 1000, &out);
	assert(found ==
	       (ttl_ms > 0 && pending->cacheable && wire_left(&answer) <= DNSCACHE_ANSWER_MAX));
	assert(!found || wire_len(&out) == wire_left(&answer));
	out.at = out.start;
	assert(found == (found && dnscache_get(cache, pending, 999 + ttl_ms, &out)));
	assert(!dnscache_get(cache, pending, 1000 + ttl_ms, &out));
	dnscache_free(cache);
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
		if (dnsfwd_answer(fwd, &pending, wire_in(answer, answer_len), &reply)) {
			check_reply(&pending, answer_len, &reply);
			check_cache(&pending, wire_in(answer, answer_len));
		} else {
			assert(wire_len(&reply) == 0);
		}
		free(answer);
	}
	dnsfwd_free(fwd);
	return 0;
}
