/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * SYN cookies, see syn_cookie.h. Laid out as Linux's: with the peer's sequence number and the epoch in it a later one
 * between the same ports is larger, and what comes late from an earlier connection is not taken for the new one's.
 */
#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/def.h"
#include "lwip/syn_cookie.h"

#include <stdbool.h>

#include <sodium/crypto_shorthash_siphash24.h>

#define EPOCH_SHIFT 24
#define HASH_MASK ((1UL << EPOCH_SHIFT) - 1)
#define EPOCHS 2U /* of which a cookie is taken: the present one and the last */

/* What peers announce most, as Linux counted. Everybody takes the least one (RFC 1122, 3.3.2). */
static const u16_t sizes[] = {536, 1300, 1440, 1460};

LWIP_TLS struct syn_cookie_counters syn_cookie_counters;

/* Everything that a cookie is a hash of, without a gap. */
struct input {
  struct syn_cookie_flow flow;
  u32_t epoch; /* of a cookie's lower part; its upper part has none, so that it stays */
  u32_t is_lower;
};

static u32_t
hash(const struct syn_cookie_flow *flow, u32_t is_lower, u32_t epoch)
{
  static LWIP_TLS u32_t key[crypto_shorthash_siphash24_KEYBYTES / sizeof(u32_t)];
  static LWIP_TLS bool drawn;
  struct input input = {*flow, epoch, is_lower};
  u64_t hash;
  size_t i;

  for (i = 0; i < LWIP_ARRAYSIZE(key) && !drawn; i++) {
    key[i] = LWIP_RAND();
  }
  drawn = true;
  crypto_shorthash_siphash24((unsigned char *)&hash, (const unsigned char *)&input, sizeof(input),
                             (const unsigned char *)key);
  return (u32_t)hash;
}

u32_t
syn_cookie_make(const struct syn_cookie_flow *flow, u32_t seqno, u16_t mss, u32_t tick)
{
  u32_t epoch = tick / SYN_COOKIE_EPOCH;
  u32_t size = LWIP_ARRAYSIZE(sizes) - 1;

  while (size > 0 && sizes[size] > mss) {
    size--;
  }
  return hash(flow, 0, 0) + seqno + (epoch << EPOCH_SHIFT) + ((hash(flow, 1, epoch) + size) & HASH_MASK);
}

u16_t
syn_cookie_mss(const struct syn_cookie_flow *flow, u32_t seqno, u32_t cookie, u32_t tick)
{
  u32_t now = tick / SYN_COOKIE_EPOCH;
  u32_t inside = cookie - hash(flow, 0, 0) - seqno;
  u32_t age = (now - (inside >> EPOCH_SHIFT)) & 0xff;
  u32_t size;

  if (age >= EPOCHS) {
    return 0;
  }
  size = (inside - hash(flow, 1, now - age)) & HASH_MASK;
  return size < LWIP_ARRAYSIZE(sizes) ? sizes[size] : 0;
}

#endif /* LWIP_TCP */
