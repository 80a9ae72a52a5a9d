/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The MTU of the way to a host, see path_mtu.h.
 */
#include "lwip/opt.h"

#if LWIP_IPV4 /* don't build if not configured for use in lwipopts.h */

#include "lwip/def.h"
#include "lwip/path_mtu.h"
#include "lwip/sys.h"

#define PLACE_BITS 8
#define KEPT_MS (10 * 60 * 1000)

struct path_mtu {
  u32_t host;
  u32_t since;
  u16_t mtu; /* 0: none */
};

static LWIP_TLS struct {
  u64_t key; /* 0: nothing was ever told */
  struct path_mtu places[1 << PLACE_BITS];
} table;

static struct path_mtu *
path_mtu_place(const ip4_addr_t *host)
{
  return &table.places[(table.key * ip4_addr_get_u32(host)) >> (64 - PLACE_BITS)];
}

u16_t
path_mtu_of(const ip4_addr_t *host, u16_t of_link)
{
  const struct path_mtu *place;

  if (table.key == 0) {
    return of_link;
  }
  place = path_mtu_place(host);
  if (place->mtu == 0 || place->host != ip4_addr_get_u32(host) || sys_now() - place->since >= KEPT_MS) {
    return of_link;
  }
  return LWIP_MIN(place->mtu, of_link);
}

/* What links have (RFC 1191, 7.1), for a router that does not tell: the next below the packet's length. */
static u16_t
path_mtu_plateau(u16_t length)
{
  static const u16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006};
  size_t i;

  for (i = 0; i < LWIP_ARRAYSIZE(plateaus); i++) {
    if (plateaus[i] < length) {
      return plateaus[i];
    }
  }
  return PATH_MTU_MIN;
}

u16_t
path_mtu_told(const ip4_addr_t *host, u16_t mtu, u16_t length)
{
  if (mtu == 0) {
    mtu = path_mtu_plateau(length);
  }
  mtu = LWIP_MAX(mtu, PATH_MTU_MIN);
  if (mtu >= length) {
    return length;
  }
  while (table.key == 0) {
    table.key = (((u64_t)LWIP_RAND() << 32) | (u32_t)LWIP_RAND()) | 1;
  }
  *path_mtu_place(host) = (struct path_mtu){ip4_addr_get_u32(host), sys_now(), mtu};
  return mtu;
}

#endif /* LWIP_IPV4 */
