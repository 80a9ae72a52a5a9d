/* SPDX-License-Identifier: BSD-3-Clause */
#include "answer_packet.h"

enum answer_verdict answer_check_packet(struct answer *answer, uint32_t at, const struct rte_mbuf *packet,
                                        uint32_t offset, uint32_t length) {
    while (offset >= packet->data_len && packet->next != NULL) {
        offset -= packet->data_len;
        packet = packet->next;
    }
    while (length > packet->data_len - offset) {
        uint32_t here = packet->data_len - offset;
        enum answer_verdict verdict =
            answer_check(answer, at, rte_pktmbuf_mtod_offset(packet, const uint8_t *, offset), here);

        if (verdict != ANSWER_RIGHT) {
            return verdict;
        }
        at += here;
        length -= here;
        offset = 0;
        packet = packet->next;
    }
    return answer_check(answer, at, rte_pktmbuf_mtod_offset(packet, const uint8_t *, offset), length);
}
