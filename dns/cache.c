#include "dns/cache.h"

#include "dns/dns_msg.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MIN 65536
#define NONE UINT32_MAX
#define KEY_MAX (DNSFWD_NAME_MAX + 4 + 1)

struct answer {
	uint64_t stored_ms, expires_ms;
	uint32_t at;        /* of its key in 'bytes', the message behind it */
	uint32_t hash_next; /* in its bucket; NONE at the end */
	uint32_t hash;      /* a bucket */
	uint16_t key_len, len;
	bool linked; /* can be found */
};

/* Answers are a queue: 'first' is the oldest of 'answers_n', in order round the array; their bytes
 * lie in the same order round 'bytes'. */
struct dnscache {
	struct dnscache_config config;
	struct dnscache_counters counters;
	struct answer *answers;
	uint32_t first, answers_n;
	uint8_t *bytes;
	uint32_t write_at;
	uint32_t *buckets;
	uint32_t buckets_n; /* a power of two */
};

/* ---- what may be kept */

static uint32_t clamp(uint32_t value, uint32_t max)
{
	return value > max ? max : value;
}

/* The least TTL of a message, an SOA's as RFC 2308 section 5 has it. */
static bool least_ttl(struct wire_in *in, unsigned records_n, uint32_t *ret_ttl, bool *ret_has_soa)
{
	struct dns_record record;

	*ret_ttl = DNSCACHE_TTL_MAX_S;
	*ret_has_soa = false;
	for (unsigned i = 0; i < records_n; i++) {
		if (!dns_record_get(in, &record))
			return false;
		if (record.type == DNS_TYPE_OPT)
			continue;
		if (record.type == DNS_TYPE_SOA) {
			uint32_t minimum;

			if (!dns_soa_minimum(record.data, &minimum))
				return false;
			*ret_has_soa = true;
			record.ttl = clamp(record.ttl, minimum);
		}
		*ret_ttl = clamp(*ret_ttl, record.ttl);
	}
	return true;
}

uint32_t dnscache_ttl(struct wire_in answer)
{
	struct dns_header header;
	struct dns_name name;
	uint32_t ttl;
	bool has_soa;

	dns_header_get(&answer, &header);
	dns_name_get(&answer, &name);
	wire_skip(&answer, 4);
	if (answer.bad || header.question_n != 1 || header.flags & DNS_FLAG_TC)
		return 0;
	unsigned rcode = header.flags & DNS_FLAG_RCODE;
	if (rcode == DNS_RCODE_SERVFAIL)
		return DNSCACHE_FAILURE_S;
	if (rcode != DNS_RCODE_NOERROR && rcode != DNS_RCODE_NXDOMAIN)
		return 0;
	unsigned records_n = (unsigned)header.answer_n + header.authority_n + header.additional_n;
	if (!least_ttl(&answer, records_n, &ttl, &has_soa))
		return 0;
	if (rcode == DNS_RCODE_NOERROR && header.answer_n > 0)
		return ttl;
	/* RFC 2308 section 5: without an SOA record it must not be kept. */
	return has_soa ? clamp(ttl, DNSCACHE_NEGATIVE_MAX_S) : 0;
}

/* Takes 'age_s' off every TTL but the OPT record's, which is none. */
static void age(uint8_t *bytes, size_t len, uint32_t age_s)
{
	struct wire_in in = wire_in(bytes, len);
	struct dns_header header;
	struct dns_record record;
	struct dns_name name;

	dns_header_get(&in, &header);
	dns_name_get(&in, &name);
	wire_skip(&in, 4);
	unsigned records_n = (unsigned)header.answer_n + header.authority_n + header.additional_n;
	for (unsigned i = 0; i < records_n && dns_record_get(&in, &record); i++) {
		struct wire_out out = wire_out(bytes + (record.ttl_at - bytes), 4);

		if (record.type != DNS_TYPE_OPT)
			wire_put_u32(&out, record.ttl > age_s ? record.ttl - age_s : 0);
	}
}

/* ---- keys */

/* The question in lower case, and what else changes the answer. Returns its length. */
static uint16_t make_key(const struct dnsfwd_pending *question, uint8_t ret[KEY_MAX])
{
	uint16_t name_len = (uint16_t)(question->question_len - 4);

	memcpy(ret, question->question, question->question_len);
	dns_bytes_lower(ret, name_len);
	ret[question->question_len] = question->flavour;
	return (uint16_t)(question->question_len + 1);
}

static uint32_t bucket_of(const struct dnscache *cache, const uint8_t *key, uint16_t key_len)
{
	return (uint32_t)siphash(&cache->config.hash_key, key, key_len) & (cache->buckets_n - 1);
}

static struct answer *find(const struct dnscache *cache, const uint8_t *key, uint16_t key_len)
{
	uint32_t i = cache->buckets[bucket_of(cache, key, key_len)];

	while (i != NONE) {
		struct answer *a = &cache->answers[i];
		if (a->key_len == key_len && memcmp(cache->bytes + a->at, key, key_len) == 0)
			return a;
		i = a->hash_next;
	}
	return NULL;
}

static void unlink_answer(struct dnscache *cache, struct answer *a)
{
	uint32_t self = (uint32_t)(a - cache->answers);
	uint32_t *at = &cache->buckets[a->hash];

	if (!a->linked)
		return;
	while (*at != self)
		at = &cache->answers[*at].hash_next;
	*at = a->hash_next;
	a->linked = false;
}

/* ---- room */

static void drop_oldest(struct dnscache *cache, uint64_t now_ms)
{
	struct answer *a = &cache->answers[cache->first];

	cache->counters.evicted += a->linked && now_ms < a->expires_ms;
	unlink_answer(cache, a);
	cache->first = (cache->first + 1) % cache->config.answers_n;
	cache->answers_n--;
}

/* Where 'len' bytes fit in one piece, behind the newest; drops the oldest until they do. */
static uint32_t make_room(struct dnscache *cache, uint32_t len, uint64_t now_ms)
{
	if (cache->answers_n == cache->config.answers_n)
		drop_oldest(cache, now_ms);
	for (;;) {
		if (cache->answers_n == 0) {
			cache->write_at = 0;
			return 0;
		}
		uint32_t oldest_at = cache->answers[cache->first].at;
		if (cache->write_at > oldest_at && cache->config.bytes - cache->write_at >= len)
			return cache->write_at;
		if (cache->write_at > oldest_at)
			cache->write_at = 0; /* round; nothing older lies before the oldest */
		if (oldest_at - cache->write_at >= len)
			return cache->write_at;
		drop_oldest(cache, now_ms);
	}
}

/* ---- in and out */

bool dnscache_get(struct dnscache *cache, const struct dnsfwd_pending *question, uint64_t now_ms,
		  struct wire_out *ret)
{
	uint8_t key[KEY_MAX];
	uint16_t key_len = make_key(question, key);
	const struct answer *a = question->cacheable ? find(cache, key, key_len) : NULL;

	if (!a || now_ms >= a->expires_ms) {
		cache->counters.misses += question->cacheable;
		return false;
	}
	uint8_t *bytes = wire_put(ret, a->len);
	if (!bytes)
		return false;
	memcpy(bytes, cache->bytes + a->at + a->key_len, a->len);
	age(bytes, a->len, (uint32_t)((now_ms - a->stored_ms) / 1000));
	cache->counters.hits++;
	return true;
}

void dnscache_put(struct dnscache *cache, const struct dnsfwd_pending *question,
		  struct wire_in answer, uint64_t now_ms)
{
	size_t len = wire_left(&answer);
	uint32_t ttl_s =
	    question->cacheable && len <= DNSCACHE_ANSWER_MAX ? dnscache_ttl(answer) : 0;
	uint8_t key[KEY_MAX];

	if (ttl_s == 0)
		return;
	uint16_t key_len = make_key(question, key);
	struct answer *old = find(cache, key, key_len);
	if (old)
		unlink_answer(cache, old);
	uint32_t at = make_room(cache, (uint32_t)(key_len + len), now_ms);
	uint32_t i = (cache->first + cache->answers_n++) % cache->config.answers_n;
	uint32_t bucket = bucket_of(cache, key, key_len);
	cache->answers[i] = (struct answer){.stored_ms = now_ms,
					    .expires_ms = now_ms + (uint64_t)ttl_s * 1000,
					    .at = at,
					    .hash_next = cache->buckets[bucket],
					    .hash = bucket,
					    .key_len = key_len,
					    .len = (uint16_t)len,
					    .linked = true};
	cache->buckets[bucket] = i;
	memcpy(cache->bytes + at, key, key_len);
	memcpy(cache->bytes + at + key_len, answer.at, len);
	cache->write_at = at + key_len + (uint32_t)len;
	cache->counters.stored++;
}

/* ---- the whole */

static void empty(struct dnscache *cache)
{
	memset(cache->buckets, 0xff, cache->buckets_n * sizeof(*cache->buckets)); /* NONE */
	cache->first = 0;
	cache->answers_n = 0;
	cache->write_at = 0;
}

void dnscache_flush(struct dnscache *cache)
{
	empty(cache);
	cache->counters.flushes++;
}

void dnscache_state(const struct dnscache *cache, struct dnscache_state *ret)
{
	*ret = (struct dnscache_state){.counters = cache->counters,
				       .answers_n = cache->answers_n,
				       .answers_max = cache->config.answers_n,
				       .bytes_max = cache->config.bytes};
	for (uint32_t i = 0; i < cache->answers_n; i++) {
		const struct answer *a =
		    &cache->answers[(cache->first + i) % cache->config.answers_n];
		ret->bytes_n += (uint32_t)a->key_len + a->len;
	}
}

int dnscache_new(struct dnscache **ret, const struct dnscache_config *config)
{
	if (config->bytes < BYTES_MIN || config->answers_n == 0)
		return -EINVAL;
	struct dnscache *cache = calloc(1, sizeof(*cache));
	if (!cache)
		return -ENOMEM;
	cache->config = *config;
	cache->buckets_n = 16;
	while (cache->buckets_n < config->answers_n)
		cache->buckets_n *= 2;
	cache->answers = calloc(config->answers_n, sizeof(*cache->answers));
	cache->bytes = malloc(config->bytes);
	cache->buckets = calloc(cache->buckets_n, sizeof(*cache->buckets));
	if (!cache->answers || !cache->bytes || !cache->buckets) {
		dnscache_free(cache);
		return -ENOMEM;
	}
	empty(cache);
	*ret = cache;
	return 0;
}

void dnscache_free(struct dnscache *cache)
{
	if (!cache)
		return;
	free(cache->answers);
	free(cache->bytes);
	free(cache->buckets);
	free(cache);
}
