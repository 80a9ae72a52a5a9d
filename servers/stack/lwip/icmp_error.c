/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * ICMP errors, see icmp_error.h.
 */
#include "lwip/opt.h"

#if LWIP_IPV4 && LWIP_ICMP /* don't build if not configured for use in lwipopts.h */

#include "lwip/icmp_error.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/path_mtu.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/icmp.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/tcp.h"
#include "lwip/sys.h"
#include "lwip/udp.h"

#define ICMP_HLEN 8
#define ICMP_SENT_EACH_SECOND 1000 /* as Linux's icmp_msgs_per_sec */

/* Of the packet that an error is about: the least that every host tells (RFC 1122, 3.2.2), and where UDP and TCP
   have the same. */
struct culprit {
  ip_addr_t local, remote;
  u16_t local_port, remote_port;
  u32_t seqno; /* TCP's */
  u16_t length;
  u8_t proto;
};

int
icmp_may_send(enum icmp_kind kind)
{
  static LWIP_TLS struct {
    u32_t second;
    u16_t sent;
  } budgets[ICMP_KINDS];
  u32_t now = sys_now() / 1000;

  if (budgets[kind].second != now) {
    budgets[kind].second = now;
    budgets[kind].sent = 0;
  }
  return budgets[kind].sent < ICMP_SENT_EACH_SECOND && ++budgets[kind].sent;
}

/* Whether the error is about a packet that we may have sent, which is then in *culprit. */
static int
icmp_error_parse(const struct pbuf *p, struct netif *inp, struct culprit *culprit)
{
  struct ip_hdr ip;
  struct {
    u16_t local_port, remote_port;
    u32_t seqno;
  } transport;
  u16_t at;

  if (pbuf_copy_partial(p, &ip, sizeof(ip), ICMP_HLEN) != sizeof(ip) || IPH_V(&ip) != 4 ||
      IPH_HL_BYTES(&ip) < IP_HLEN || (IPH_OFFSET(&ip) & PP_HTONS(IP_OFFMASK)) != 0 ||
      ip.src.addr != ip4_addr_get_u32(netif_ip4_addr(inp)) ||
      ip4_addr_get_u32(ip4_current_dest_addr()) != ip4_addr_get_u32(netif_ip4_addr(inp))) {
    return 0;
  }
  at = (u16_t)(ICMP_HLEN + IPH_HL_BYTES(&ip));
  if (pbuf_copy_partial(p, &transport, sizeof(transport), at) != sizeof(transport)) {
    return 0;
  }
  ip_addr_set_ip4_u32_val(culprit->local, ip.src.addr);
  ip_addr_set_ip4_u32_val(culprit->remote, ip.dest.addr);
  culprit->local_port = lwip_ntohs(transport.local_port);
  culprit->remote_port = lwip_ntohs(transport.remote_port);
  culprit->seqno = lwip_ntohl(transport.seqno);
  culprit->length = lwip_ntohs(IPH_LEN(&ip));
  culprit->proto = IPH_PROTO(&ip);
  return 1;
}

/* The connection that has sent it and not yet got an acknowledgement (RFC 5927, 4.1); NULL: none. */
static struct tcp_pcb *
icmp_error_connection(const struct culprit *culprit, struct netif *inp)
{
  struct tcp_pcb *pcb = tcp_pcb_find(&culprit->local, culprit->local_port, &culprit->remote, culprit->remote_port, inp);

  if (pcb == NULL || pcb->state == TIME_WAIT || TCP_SEQ_LT(culprit->seqno, pcb->lastack) ||
      TCP_SEQ_GEQ(culprit->seqno, pcb->snd_nxt) || (pcb->state == SYN_SENT && culprit->seqno != pcb->snd_nxt - 1)) {
    return NULL;
  }
  return pcb;
}

/* RFC 1191: what is on its way was too large, and leaves at once in smaller parts. */
static void
icmp_error_too_big(struct tcp_pcb *pcb, const struct culprit *culprit, u16_t told)
{
  u16_t mtu = path_mtu_told(ip_2_ip4(&culprit->remote), told, culprit->length);

  if (mtu < culprit->length && mtu - IP_HLEN - TCP_HLEN < pcb->mss && pcb->state >= ESTABLISHED) {
    tcp_shrink_segments(pcb, (u16_t)(mtu - IP_HLEN - TCP_HLEN));
  }
}

/* A connection is attempted in vain (RFC 1122, 4.2.3.9; RFC 5461, 4.1 says why at once). */
static void
icmp_error_give_up(struct tcp_pcb *pcb, err_t error)
{
#if LWIP_CALLBACK_API
  tcp_err_fn errf = pcb->errf;
#endif
  void *argument = pcb->callback_arg;

  tcp_err(pcb, NULL);
  tcp_abandon(pcb, 0);
  TCP_EVENT_ERR(CLOSED, errf, argument, error);
  LWIP_UNUSED_ARG(argument);
}

/* What a code of "destination unreachable" says: ERR_RST: the host has nobody there; ERR_IF: there is no way to its
   network; ERR_RTE: nor to the host. */
static err_t
icmp_error_meaning(u8_t type, u8_t code)
{
  if (type != ICMP_DUR) {
    return ERR_RTE;
  }
  switch (code) {
    case ICMP_DUR_PROTO:
    case ICMP_DUR_PORT:
      return ERR_RST;
    case ICMP_DUR_NET:
    case 6: /* network unknown */
    case 9: /* network prohibited */
    case 11: /* network unreachable for this type of service */
      return ERR_IF;
    default:
      return ERR_RTE;
  }
}

#if LWIP_UDP
/* Of a socket that is connected: others have many peers, and are told of none. */
static void
icmp_error_udp(const struct culprit *culprit, err_t error)
{
  struct udp_pcb *pcb;

  for (pcb = error == ERR_RST ? udp_pcbs : NULL; pcb != NULL; pcb = pcb->next) {
    if ((pcb->flags & UDP_FLAGS_CONNECTED) && pcb->local_port == culprit->local_port &&
        pcb->remote_port == culprit->remote_port && ip_addr_cmp(&pcb->remote_ip, &culprit->remote) &&
        (ip_addr_isany(&pcb->local_ip) || ip_addr_cmp(&pcb->local_ip, &culprit->local))) {
      if (pcb->recv != NULL) {
        pcb->recv(pcb->recv_arg, pcb, NULL, &pcb->remote_ip, pcb->remote_port);
      }
      return;
    }
  }
}
#endif /* LWIP_UDP */

void
icmp_error_input(struct pbuf *p, struct netif *inp)
{
  const struct icmp_echo_hdr *header = (const struct icmp_echo_hdr *)p->payload;
  struct culprit culprit;
  struct tcp_pcb *pcb;
  err_t error;

  if (p->len < ICMP_HLEN || !icmp_error_parse(p, inp, &culprit)) {
    return;
  }
  IF__NETIF_CHECKSUM_ENABLED(inp, NETIF_CHECKSUM_CHECK_ICMP)
  {
    if (inet_chksum_pbuf(p) != 0) {
      return;
    }
  }
  error = icmp_error_meaning(header->type, header->code);
#if LWIP_UDP
  if (culprit.proto == IP_PROTO_UDP) {
    icmp_error_udp(&culprit, error);
    return;
  }
#endif /* LWIP_UDP */
  if (culprit.proto != IP_PROTO_TCP || (pcb = icmp_error_connection(&culprit, inp)) == NULL) {
    return;
  }
  if (header->type == ICMP_DUR && header->code == ICMP_DUR_FRAG) {
    icmp_error_too_big(pcb, &culprit, lwip_ntohs(header->seqno));
  } else if (pcb->state == SYN_SENT) {
    icmp_error_give_up(pcb, error);
  } else if (pcb->nrtx > 0) {
    /* an established connection may outlast it: why it ends, if it does */
    tcp_set_flags(pcb, TF_UNREACHABLE);
  }
}

#endif /* LWIP_IPV4 && LWIP_ICMP */
