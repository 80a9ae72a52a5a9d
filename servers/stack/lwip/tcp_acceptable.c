/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Which segments are used, see tcp_acceptable.h.
 */
#include "lwip/opt.h"

#if LWIP_TCP /* don't build if not configured for use in lwipopts.h */

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp_acceptable.h"

static LWIP_TLS struct {
  u32_t drawn_at; /* tick */
  u32_t left;
} tcp_challenges;

/* Two ends that each refuse what the other sends would else answer each other for ever. */
static int
tcp_answer_is_due(struct tcp_pcb *pcb)
{
  if (pcb->answered_at == (u16_t)tcp_ticks) {
    return 0;
  }
  pcb->answered_at = (u16_t)tcp_ticks;
  return 1;
}

void
tcp_challenge(struct tcp_pcb *pcb)
{
  if (!tcp_answer_is_due(pcb)) {
    return;
  }
  if (tcp_ticks - tcp_challenges.drawn_at >= 1000 / TCP_SLOW_INTERVAL || tcp_challenges.drawn_at == 0) {
    tcp_challenges.drawn_at = tcp_ticks;
    tcp_challenges.left = TCP_CHALLENGES / 2 + LWIP_RAND() % TCP_CHALLENGES;
  }
  if (tcp_challenges.left > 0) {
    tcp_challenges.left--;
    tcp_send_empty_ack(pcb);
  }
}

static int
tcp_sequence_acceptable(const struct tcp_pcb *pcb, u32_t seqno, u16_t len)
{
  /* Whoever has filled the window and probed it has its next byte 1 beyond the right edge. */
  if (len == 0) {
    return seqno - pcb->rcv_nxt <= pcb->rcv_wnd + 1;
  }
  /* What follows next is acceptable whatever the window: its ACK at least. */
  return seqno == pcb->rcv_nxt ||
         (TCP_SEQ_LT(seqno, pcb->rcv_nxt + pcb->rcv_wnd) && TCP_SEQ_GT(seqno + len, pcb->rcv_nxt));
}

static int
tcp_reset_acceptable(struct tcp_pcb *pcb, u32_t seqno)
{
  if (seqno != pcb->rcv_nxt && seqno - pcb->rcv_nxt <= pcb->rcv_wnd) {
    tcp_challenge(pcb); /* RFC 5961, 3.2 */
  }
  return seqno == pcb->rcv_nxt;
}

int
tcp_segment_acceptable(struct tcp_pcb *pcb, u32_t seqno, u16_t len, u32_t ackno, u8_t flags)
{
  if (flags & TCP_RST) {
    return tcp_reset_acceptable(pcb, seqno);
  }
  if (flags & TCP_SYN) {
    /* The same SYN once more: the answer was lost. */
    if (pcb->state == SYN_RCVD && seqno + 1 == pcb->rcv_nxt) {
      if (tcp_answer_is_due(pcb)) {
        tcp_rexmit(pcb);
      }
    } else {
      tcp_challenge(pcb); /* RFC 5961, 4.2: whatever its sequence number */
    }
    return 0;
  }
  if (!tcp_sequence_acceptable(pcb, seqno, len)) {
    /* Data come again by their sender's timer alone, so no two ends keep each other going by them. */
    if (len > 0 || tcp_answer_is_due(pcb)) {
      tcp_send_empty_ack(pcb);
    }
    return 0;
  }
  if ((flags & TCP_ACK) == 0) {
    return 0;
  }
  if (pcb->state != SYN_RCVD && !TCP_SEQ_BETWEEN(ackno, pcb->lastack - pcb->snd_wnd_max, pcb->snd_nxt)) {
    tcp_challenge(pcb); /* RFC 5961, 5.2 */
    return 0;
  }
  return 1;
}

#endif /* LWIP_TCP */
