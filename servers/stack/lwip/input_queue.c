/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Received bytes that wait for whoever reads them, see input_queue.h.
 */
#include "lwip/opt.h"

#include "lwip/def.h"
#include "lwip/input_queue.h"
#include "lwip/mem.h"
#include "lwip/tcp_budget.h"

#include <string.h>

/* A buffer of the queue's own has room for so many bytes, and segments of up to a quarter of that go there, but for the
   first, which most readers take at once. */
#define INPUT_QUEUE_BUFFER 1500
#define INPUT_QUEUE_SMALL (INPUT_QUEUE_BUFFER / 4)

/* Of a pbuf's flags one that lwIP does not use: a buffer of the queue's own. */
#define INPUT_QUEUE_OWN 0x80U

static u16_t
room_behind(const struct pbuf *last)
{
  const u8_t *end;

  if (last == NULL || !(last->flags & INPUT_QUEUE_OWN)) {
    return 0;
  }
  end = (const u8_t *)last + LWIP_MEM_ALIGN_SIZE(sizeof(struct pbuf)) + INPUT_QUEUE_BUFFER;
  return (u16_t)(end - ((const u8_t *)last->payload + last->len));
}

/* A buffer of the queue's own with the same bytes; the pbuf itself if there is no memory. */
static struct pbuf *
copied(struct pbuf *p)
{
  struct pbuf *own = pbuf_alloc(PBUF_RAW, INPUT_QUEUE_BUFFER, PBUF_RAM);

  if (own == NULL) {
    return p;
  }
  memcpy(own->payload, p->payload, p->len);
  own->len = own->tot_len = p->len;
  own->flags |= INPUT_QUEUE_OWN;
  pbuf_free(p);
  return own;
}

static void
add_one(struct input_queue *queue, struct pbuf *p)
{
  struct pbuf *last = queue->last;

  if (p->len <= room_behind(last)) {
    memcpy((u8_t *)last->payload + last->len, p->payload, p->len);
    last->len = (u16_t)(last->len + p->len);
    last->tot_len = last->len;
    pbuf_free(p);
    return;
  }
  if (last != NULL && p->len <= INPUT_QUEUE_SMALL) {
    p = copied(p);
  }
  p->next = last != NULL ? last->next : p;
  if (last != NULL) {
    last->next = p;
  }
  queue->last = p;
  tcp_budget_hold_input(1);
}

void
input_queue_add(struct input_queue *queue, struct pbuf *chain)
{
  while (chain != NULL) {
    struct pbuf *next = chain->next;

    chain->next = NULL;
    chain->tot_len = chain->len;
    add_one(queue, chain);
    chain = next;
  }
}

void
input_queue_read(struct input_queue *queue, u16_t length)
{
  struct pbuf *first = input_queue_first(queue);

  if (length < first->len) {
    pbuf_remove_header(first, length);
    return;
  }
  if (first == queue->last) {
    queue->last = NULL;
  } else {
    queue->last->next = first->next;
  }
  first->next = NULL;
  pbuf_free(first);
  tcp_budget_hold_input(-1);
}

size_t
input_queue_clear(struct input_queue *queue)
{
  size_t bytes = 0;

  while (queue->last != NULL) {
    u16_t length = input_queue_first(queue)->len;

    bytes += length;
    input_queue_read(queue, length);
  }
  return bytes;
}
