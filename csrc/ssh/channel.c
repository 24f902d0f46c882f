#include "ssh/internal.h"

#include <string.h>

#include "ssh/kept.h"
#include "ssh/window.h"

/* What a channel may send between two flushes, so that the others get their
   turn. */
#define QUANTUM_BYTES ((size_t)128 * 1024)
/* What is handed to an owner that reads again, in one turn. */
#define DELIVER_BYTES ((size_t)256 * 1024)
/* To a peer so near a larger one would only be a queue, in which the bytes of
   other channels wait as well. */
#define NEAR_US 2000u
#define WINDOW_NEAR ((uint32_t)512 * 1024)
#define HEAD_LEN ((size_t)9)

enum {
  CH_READING = 1,
  CH_EOF_CAME = 2, /* the peer's direction has ended */
  CH_EOF_TOLD = 4,
  CH_CLOSE_CAME = 8,
  CH_EOF_SENT = 16,
  CH_CLOSE_SENT = 32,
  CH_OWNER_CLOSED = 64,
  CH_WANTS_WRITE = 128, /* on_writable was promised */
  CH_REVOKED = 256      /* closed by a review, which its owner is told */
};

struct wr_channel {
  wr_link link;
  wr_ssh *s;
  wr_list blocked; /* node of the session's list of that name */
  wr_list ready;   /* the same */
  uint32_t local_id;
  uint32_t remote_id;
  uint32_t remote_window;
  uint32_t remote_max;
  unsigned flags; /* CH_… */
  char *label;    /* for reviews; owned, mostly NULL */
  wr_window window;
  wr_kept kept;
  uint64_t committed; /* bytes counted in the session's window_sum */
  uint64_t turn;      /* of quantum */
  size_t quantum;     /* bytes sent in that turn */
  uint64_t bytes_in, bytes_out;
};

static const wr_link_ops channel_ops;

static uint64_t now_us(const wr_ssh *s) {
  return wr_ctx_hrtime(s->ctx) / 1000;
}

/* THE SESSION'S WINDOW */

/* What a peer was granted cannot be taken back, so an idle channel holds its
   window until it closes. Hence nobody gets all that is left: first windows come
   out of one half of the whole, each a part of what remains of that, and a window
   grows to half of what the others leave. A thousand idle channels leave room for
   a busy one, and one that was busy for the next. */
#define SESSION_PARTS 16
#define PROCESS_PARTS 64

static uint64_t left_of(uint64_t limit, uint64_t used) {
  return limit > used ? limit - used : 0;
}

static uint64_t beyond_least(uint64_t bytes) {
  return left_of(bytes, WR_WINDOW_LEAST);
}

/* Counts what the peer may make us keep. */
static void account(wr_channel *ch, uint64_t bytes) {
  wr_ssh *s = ch->s;
  s->window_sum = s->window_sum - ch->committed + bytes;
  if (s->budget != NULL) {
    s->budget->granted_bytes -= beyond_least(ch->committed);
    s->budget->granted_bytes += beyond_least(bytes);
  }
  ch->committed = bytes;
}

static void account_now(wr_channel *ch) {
  uint64_t held = (uint64_t)ch->window.available + ch->kept.len;
  account(ch, WR_MAX(held, (uint64_t)ch->window.target));
}

static uint64_t process_limit(const wr_window_budget *b) {
  return b->limit_bytes != 0 ? b->limit_bytes : WR_WINDOW_PROCESS_MAX;
}

/* The most that the window may become. */
static uint32_t max_target(const wr_channel *ch) {
  const wr_ssh *s = ch->s;
  uint64_t most = left_of(s->window_max, s->window_sum - ch->committed) / 2;
  if (s->budget != NULL) {
    const wr_window_budget *b = s->budget;
    uint64_t others = b->granted_bytes - beyond_least(ch->committed);
    most = WR_MIN(most, left_of(process_limit(b), others) / 2);
  }
  return most > UINT32_MAX ? UINT32_MAX : (uint32_t)most;
}

/* Whole packets: a window that ends with a part of one is slow to grow. */
static uint32_t first_window(const wr_ssh *s) {
  uint32_t rtt_us = wr__live_rtt(s);
  bool near = rtt_us != 0 && rtt_us < NEAR_US;
  uint64_t share = left_of(s->window_max / 2, s->window_sum) / SESSION_PARTS;
  if (s->budget != NULL) {
    const wr_window_budget *b = s->budget;
    uint64_t room = left_of(process_limit(b) / 2, b->granted_bytes);
    share = WR_MIN(share, room / PROCESS_PARTS);
  }
  share = WR_MIN(share, (uint64_t)(near ? WINDOW_NEAR : WR_WINDOW_FLOOR));
  share -= share % WR_PACKET_DATA_MAX;
  return WR_MAX((uint32_t)share, WR_WINDOW_LEAST);
}

/* The owner took n bytes: the peer may send more. */
static void credit(wr_channel *ch, size_t n) {
  wr_ssh *s = ch->s;
  uint32_t more = wr_window_consumed(&ch->window, n, ch->kept.len, now_us(s),
                                     wr__live_rtt(s), max_target(ch));
  account_now(ch);
  if (more == 0 || (ch->flags & (CH_EOF_CAME | CH_CLOSE_SENT)) != 0) {
    return;
  }
  uint8_t p[9] = {MSG_CHANNEL_WINDOW_ADJUST};
  wr_put_u32(p + 1, ch->remote_id);
  wr_put_u32(p + 5, more);
  wr__pump_send(s, p, sizeof(p), NULL, 0);
  wr__live_ping(s);
}

/* LIFE */

wr_channel *wr__channel_new(wr_ssh *s) {
  wr_channel *ch = wr_calloc(&s->ctx->mem, 1, sizeof(*ch));
  if (ch == NULL) {
    return NULL;
  }
  uint32_t window = first_window(s);
  uint64_t ceiling = WR_MIN(s->window_max, WR_WINDOW_CHANNEL_MAX);
  ch->s = s;
  ch->link.ops = &channel_ops;
  ch->link.ctx = s->ctx;
  wr_list_init(&ch->blocked);
  wr_list_init(&ch->ready);
  wr_window_init(&ch->window, window, (uint32_t)ceiling, now_us(s));
  account_now(ch);
  return ch;
}

void wr__channel_free(wr_channel *ch) {
  wr_ssh *s = ch->s;
  account(ch, 0);
  wr_list_remove(&ch->blocked);
  wr_list_remove(&ch->ready);
  wr__kept_reset(&ch->kept, &s->ctx->mem);
  wr_free(&s->ctx->mem, ch->label);
  if (s->reserved_by == ch) {
    s->reserved = NULL;
  }
  wr_free(&s->ctx->mem, ch);
}

uint32_t wr__channel_window(const wr_channel *ch) {
  return ch->window.available;
}

wr_link *wr__channel_begin(wr_channel *ch, uint32_t local_id,
                           uint32_t remote_id, uint32_t window,
                           uint32_t max_packet) {
  ch->local_id = local_id;
  ch->remote_id = remote_id;
  ch->remote_window = window;
  ch->remote_max = max_packet;
  ch->window.mark_us = now_us(ch->s);
  wr__table_set(&ch->s->table, local_id, WR_SLOT_CHANNEL, ch);
  return &ch->link;
}

static void make_ready(wr_channel *ch) {
  if (wr_list_empty(&ch->ready)) {
    wr_list_push(&ch->s->ready, &ch->ready);
  }
  wr_task_post(ch->s->ctx, &ch->s->work);
}

wr_channel *wr__channel_from_blocked(wr_list *node) {
  return wr_container_of(node, wr_channel, blocked);
}

wr_channel *wr__channel_from_ready(wr_list *node) {
  return wr_container_of(node, wr_channel, ready);
}

static void send_plain(wr_channel *ch, uint8_t number) {
  uint8_t p[5] = {number};
  wr_put_u32(p + 1, ch->remote_id);
  wr__pump_send(ch->s, p, sizeof(p), NULL, 0);
}

static void send_close(wr_channel *ch) {
  if ((ch->flags & CH_CLOSE_SENT) == 0) {
    ch->flags |= CH_CLOSE_SENT;
    send_plain(ch, MSG_CHANNEL_CLOSE);
  }
}

static void tell_close(wr_channel *ch, int status) {
  const wr_link_handler *h = ch->link.handler;
  if (h != NULL) {
    h->on_close(&ch->link, status);
  }
  wr__channel_free(ch);
}

/* The slot stays until the peer's CLOSE has come. */
static void finish(wr_channel *ch, int status) {
  if ((ch->flags & CH_CLOSE_CAME) != 0) {
    wr__table_remove(&ch->s->table, ch->local_id);
  } else {
    wr__table_set(&ch->s->table, ch->local_id, WR_SLOT_CLOSING, NULL);
  }
  tell_close(ch, status);
}

/* What the owner of a channel that this side has closed is told. */
static int closed_status(const wr_channel *ch) {
  return (ch->flags & CH_REVOKED) != 0 ? WR_ECHANNEL_DENIED : 0;
}

void wr__channel_session_end(wr_channel *ch) {
  wr_ssh *s = ch->s;
  int status = s->status != 0 ? s->status : WR_ECLOSED;
  if ((ch->flags & CH_OWNER_CLOSED) != 0) {
    status = closed_status(ch);
  }
  wr__table_remove(&s->table, ch->local_id);
  tell_close(ch, status);
}

/* DATA FROM THE PEER */

/* Hands bytes over; returns how many were taken. */
static size_t offer(wr_channel *ch, uint8_t *data, size_t len) {
  size_t taken = ch->link.handler->on_read(&ch->link, data, len);
  WR_ASSERT(taken <= len);
  if (taken < len) {
    ch->flags &= ~(unsigned)CH_READING;
  }
  ch->bytes_in += taken;
  return taken;
}

static bool wants_data(const wr_channel *ch) {
  return (ch->flags & (CH_READING | CH_OWNER_CLOSED)) == CH_READING &&
         ch->link.handler != NULL;
}

/* Kept bytes first, then the end, at last the close. */
void wr__channel_work(wr_channel *ch) {
  wr_mem *mem = &ch->s->ctx->mem;
  size_t done = 0;
  while (wants_data(ch) && ch->kept.len > 0 && done < DELIVER_BYTES) {
    size_t len = 0;
    uint8_t *data = wr__kept_peek(&ch->kept, &len);
    size_t taken = offer(ch, data, len);
    wr__kept_consume(&ch->kept, mem, taken);
    done += taken;
    if (taken > 0) {
      credit(ch, taken);
    }
  }
  if (wants_data(ch) && ch->kept.len > 0) {
    make_ready(ch);
    return;
  }
  bool over = ch->kept.len == 0 && (ch->flags & CH_CLOSE_CAME) != 0;
  if ((wants_data(ch) || over) && ch->kept.len == 0 &&
      (ch->flags & (CH_EOF_CAME | CH_EOF_TOLD | CH_OWNER_CLOSED)) ==
          CH_EOF_CAME &&
      ch->link.handler != NULL) {
    ch->flags |= CH_EOF_TOLD;
    ch->link.handler->on_eof(&ch->link);
  }
  if ((ch->flags & CH_OWNER_CLOSED) != 0) {
    finish(ch, closed_status(ch));
  } else if (over) {
    finish(ch, (ch->flags & CH_EOF_CAME) != 0 ? 0 : WR_ECHANNEL_RESET);
  }
}

/* Takes it straight from the packet, if the owner is waiting for it. */
static void receive(wr_channel *ch, uint8_t *data, size_t len) {
  size_t taken = 0;
  if (wants_data(ch) && ch->kept.len == 0) {
    taken = offer(ch, data, len);
    if ((ch->flags & CH_OWNER_CLOSED) != 0 || !wr__ssh_alive(ch->s)) {
      return;
    }
  }
  if (taken < len) {
    int rc =
        wr__kept_append(&ch->kept, &ch->s->ctx->mem, data + taken, len - taken);
    if (rc != 0) {
      wr__ssh_end(ch->s, rc, DISCONNECT_NONE, "");
      return;
    }
    if (wants_data(ch)) {
      make_ready(ch); /* behind what is kept already */
    }
  }
  if (taken > 0) {
    credit(ch, taken);
  }
}

/* ch NULL: the owner has closed it, the bytes go nowhere. */
static void on_data(wr_ssh *s, wr_channel *ch, wr_rd *r, bool extended) {
  if (extended) {
    wr_rd_u32(r);
  }
  wr_slice data = wr_rd_string(r);
  if (!wr_rd_done(r)) {
    wr__ssh_bad(s, "malformed packet");
    return;
  }
  if (ch == NULL || data.len == 0) {
    return;
  }
  if (!wr_window_received(&ch->window, data.len)) {
    wr__ssh_bad(s, "the peer sent more than its window");
    return;
  }
  /* As OpenSSH does: what comes after the end is dropped. */
  if ((ch->flags & (CH_EOF_CAME | CH_CLOSE_SENT | CH_OWNER_CLOSED)) != 0) {
    return;
  }
  if (extended) {
    credit(ch, data.len);
    return;
  }
  /* The packet's memory is ours to modify. */
  receive(ch, (uint8_t *)(uintptr_t)data.data, data.len);
}

static void on_adjust(wr_ssh *s, wr_channel *ch, wr_rd *r) {
  uint32_t more = wr_rd_u32(r);
  if (!wr_rd_done(r)) {
    wr__ssh_bad(s, "malformed packet");
    return;
  }
  if (ch == NULL) {
    return;
  }
  if (more > UINT32_MAX - ch->remote_window) {
    wr__ssh_bad(s, "window overflow");
    return;
  }
  ch->remote_window += more;
  if ((ch->flags & CH_WANTS_WRITE) != 0 && wr_list_empty(&ch->blocked)) {
    wr_list_push(&s->blocked, &ch->blocked);
    wr_task_post(s->ctx, &s->work);
  }
}

static void on_eof(wr_channel *ch) {
  if (ch != NULL && (ch->flags & CH_EOF_CAME) == 0) {
    ch->flags |= CH_EOF_CAME;
    make_ready(ch);
  }
}

static void on_close(wr_ssh *s, wr_channel *ch, uint32_t id) {
  if (ch == NULL) {
    wr__table_remove(&s->table, id);
    return;
  }
  ch->flags |= CH_CLOSE_CAME;
  send_close(ch);
  wr_list_remove(&ch->blocked);
  make_ready(ch);
}

/* None is known: each is refused, if the peer wants to know. */
static void on_request(wr_ssh *s, wr_channel *ch, wr_rd *r) {
  wr_rd_string(r);
  bool want_reply = wr_rd_bool(r);
  if (r->bad) {
    wr__ssh_bad(s, "malformed packet");
  } else if (want_reply && ch != NULL && (ch->flags & CH_CLOSE_SENT) == 0) {
    send_plain(ch, MSG_CHANNEL_FAILURE);
  }
}

void wr__channel_packet(wr_ssh *s, uint8_t *p, size_t len) {
  wr_rd r;
  wr_rd_init(&r, p + 1, len - 1);
  uint32_t id = wr_rd_u32(&r);
  void *object = NULL;
  wr_slot_kind kind = wr__table_get(&s->table, id, &object);
  wr_channel *ch = kind == WR_SLOT_CHANNEL ? object : NULL;
  if (r.bad || (kind != WR_SLOT_CLOSING && ch == NULL) ||
      (ch != NULL && (ch->flags & CH_CLOSE_CAME) != 0)) {
    wr__ssh_bad(s, "packet for a channel that does not exist");
    return;
  }
  switch (p[0]) {
  case MSG_CHANNEL_WINDOW_ADJUST:
    on_adjust(s, ch, &r);
    break;
  case MSG_CHANNEL_DATA:
  case MSG_CHANNEL_EXTENDED_DATA:
    on_data(s, ch, &r, p[0] == MSG_CHANNEL_EXTENDED_DATA);
    break;
  case MSG_CHANNEL_EOF:
    on_eof(ch);
    break;
  case MSG_CHANNEL_CLOSE:
    on_close(s, ch, id);
    break;
  case MSG_CHANNEL_REQUEST:
    on_request(s, ch, &r);
    break;
  default:
    break; /* answers to requests that we never send */
  }
}

/* DATA TO THE PEER */

/* on_writable will come, by the list or by the next window. */
static void block(wr_channel *ch) {
  ch->flags |= CH_WANTS_WRITE;
  if (ch->remote_window > 0 && wr_list_empty(&ch->blocked)) {
    wr_list_push(&ch->s->blocked, &ch->blocked);
    wr_task_post_flush(ch->s->ctx, &ch->s->flush);
  }
}

/* How much may go into the next packet; 0: none now. */
static size_t packet_room(wr_channel *ch) {
  wr_ssh *s = ch->s;
  if (ch->turn != s->turn) {
    ch->turn = s->turn;
    ch->quantum = 0;
  }
  size_t gate = wr__pump_gate(s);
  if (ch->quantum >= QUANTUM_BYTES || gate == 0) {
    return 0;
  }
  size_t room = WR_MIN((size_t)ch->remote_window, (size_t)ch->remote_max);
  return WR_MIN(room, WR_PACKET_DATA_MAX);
}

static void put_head(const wr_channel *ch, uint8_t head[HEAD_LEN], size_t len) {
  head[0] = MSG_CHANNEL_DATA;
  wr_put_u32(head + 1, ch->remote_id);
  wr_put_u32(head + 5, (uint32_t)len);
}

static void sent(wr_channel *ch, size_t len) {
  ch->remote_window -= (uint32_t)len;
  ch->quantum += len;
  ch->bytes_out += len;
  wr__pump_sent_data(ch->s);
}

/* Memory for the data of a packet. Where there is none although the gate is
   open, new keys are due. */
static uint8_t *lend_packet(wr_ssh *s, size_t room) {
  uint8_t *dst = wr__transport_reserve(s->tp, HEAD_LEN, room);
  if (dst == NULL) {
    wr__transport_rekey(s->tp);
  }
  return dst;
}

/* One packet of at most `room` bytes from the front of the vector, whose first
   `skip` bytes are gone already. */
static int send_packet(wr_channel *ch, const uv_buf_t *bufs, unsigned n,
                       size_t skip, size_t room, size_t *len) {
  wr_ssh *s = ch->s;
  uint8_t head[HEAD_LEN];
  s->reserved = NULL;
  if (bufs->len - skip >= room || n == 1) {
    *len = WR_MIN(bufs->len - skip, room);
    put_head(ch, head, *len);
    return wr__transport_send(s->tp, head, HEAD_LEN, bufs->base + skip, *len);
  }
  uint8_t *dst = lend_packet(s, room);
  if (dst == NULL) {
    *len = 0;
    return 0;
  }
  size_t used = 0;
  for (; n > 0 && used < room; n--, bufs++) {
    size_t part = WR_MIN(bufs->len - skip, room - used);
    if (part > 0) {
      memcpy(dst + used, bufs->base + skip, part);
    }
    used += part;
    skip = 0;
  }
  *len = used;
  put_head(ch, head, used);
  return wr__transport_commit(s->tp, head, HEAD_LEN, used);
}

static int send_all(wr_channel *ch, const uv_buf_t *bufs, unsigned n,
                    size_t *taken) {
  size_t skip = 0;
  while (n > 0) {
    if (skip == bufs->len) {
      skip = 0;
      n--;
      bufs++;
      continue;
    }
    size_t len = 0;
    size_t room = packet_room(ch);
    int rc = room == 0 ? 0 : send_packet(ch, bufs, n, skip, room, &len);
    if (rc != 0) {
      return rc;
    }
    if (len == 0) {
      block(ch);
      return 0;
    }
    sent(ch, len);
    *taken += len;
    skip += len;
    while (n > 0 && skip >= bufs->len) {
      skip -= bufs->len;
      n--;
      bufs++;
    }
  }
  return 0;
}

/* The bytes are where they belong already. */
static int send_reserved(wr_channel *ch, size_t len) {
  wr_ssh *s = ch->s;
  uint8_t head[HEAD_LEN];
  WR_ASSERT(len <= s->reserved_len);
  s->reserved = NULL;
  put_head(ch, head, len);
  int rc = wr__transport_commit(s->tp, head, HEAD_LEN, len);
  if (rc == 0) {
    sent(ch, len);
  }
  return rc;
}

static int channel_write(wr_link *link, const uv_buf_t *bufs, unsigned n,
                         size_t *taken) {
  wr_channel *ch = wr_channel_from_link(link);
  wr_ssh *s = ch->s;
  *taken = 0;
  if (!wr__ssh_alive(s) ||
      (ch->flags & (CH_EOF_SENT | CH_CLOSE_SENT | CH_OWNER_CLOSED)) != 0) {
    return WR_ECLOSED;
  }
  int rc = 0;
  if (n == 1 && bufs->len > 0 && s->reserved_by == ch && s->reserved != NULL &&
      (uint8_t *)bufs->base == s->reserved) {
    rc = send_reserved(ch, bufs->len);
    *taken = rc == 0 ? bufs->len : 0;
  } else {
    rc = send_all(ch, bufs, n, taken);
  }
  if (rc != 0) {
    wr__ssh_end(s, rc, DISCONNECT_NONE, "");
  }
  return rc;
}

static uint8_t *channel_reserve(wr_link *link, size_t *len) {
  wr_channel *ch = wr_channel_from_link(link);
  wr_ssh *s = ch->s;
  s->reserved = NULL;
  if (!wr__ssh_alive(s) ||
      (ch->flags & (CH_EOF_SENT | CH_CLOSE_SENT | CH_OWNER_CLOSED)) != 0) {
    return NULL;
  }
  size_t room = WR_MIN(packet_room(ch), *len);
  if (room > 0) {
    s->reserved = lend_packet(s, room);
  }
  if (s->reserved == NULL) {
    if (*len > 0) {
      block(ch);
    }
    return NULL;
  }
  s->reserved_by = ch;
  s->reserved_len = room;
  *len = room;
  return s->reserved;
}

void wr__channel_writable(wr_channel *ch) {
  if ((ch->flags & (CH_WANTS_WRITE | CH_OWNER_CLOSED | CH_CLOSE_SENT)) !=
      CH_WANTS_WRITE) {
    return;
  }
  if (ch->remote_window == 0) {
    return; /* the next window brings it back */
  }
  ch->flags &= ~(unsigned)CH_WANTS_WRITE;
  if (ch->link.handler != NULL && ch->link.handler->on_writable != NULL) {
    ch->link.handler->on_writable(&ch->link);
  }
}

/* THE REST OF A LINK */

static int channel_read_start(wr_link *link) {
  wr_channel *ch = wr_channel_from_link(link);
  if ((ch->flags & CH_OWNER_CLOSED) != 0) {
    return WR_ECLOSED;
  }
  if ((ch->flags & CH_READING) == 0) {
    ch->flags |= CH_READING;
    if (ch->kept.len > 0 || (ch->flags & CH_EOF_CAME) != 0) {
      make_ready(ch);
    }
  }
  return 0;
}

static void channel_read_stop(wr_link *link) {
  wr_channel *ch = wr_channel_from_link(link);
  ch->flags &= ~(unsigned)CH_READING;
}

static int channel_shutdown(wr_link *link) {
  wr_channel *ch = wr_channel_from_link(link);
  if (!wr__ssh_alive(ch->s) ||
      (ch->flags & (CH_EOF_SENT | CH_CLOSE_SENT)) != 0) {
    return WR_ECLOSED;
  }
  ch->flags |= CH_EOF_SENT;
  wr_list_remove(&ch->blocked);
  send_plain(ch, MSG_CHANNEL_EOF);
  return 0;
}

static void channel_close(wr_link *link, wr_close_mode mode) {
  wr_channel *ch = wr_channel_from_link(link);
  if ((ch->flags & CH_OWNER_CLOSED) != 0) {
    return;
  }
  ch->flags |= CH_OWNER_CLOSED;
  wr_list_remove(&ch->blocked);
  if (mode == WR_CLOSE_ORDERLY &&
      (ch->flags & (CH_EOF_SENT | CH_CLOSE_SENT)) == 0) {
    ch->flags |= CH_EOF_SENT;
    send_plain(ch, MSG_CHANNEL_EOF);
  }
  send_close(ch);
  make_ready(ch);
}

int wr__channel_set_label(wr_channel *ch, const char *label) {
  char *copy = wr_strdup(&ch->s->ctx->mem, label);
  if (copy == NULL) {
    return WR_ENOMEM;
  }
  wr_free(&ch->s->ctx->mem, ch->label);
  ch->label = copy;
  return 0;
}

const char *wr__channel_label(const wr_channel *ch) {
  return ch->label;
}

void wr__channel_revoke(wr_channel *ch) {
  if ((ch->flags & CH_OWNER_CLOSED) == 0) {
    ch->flags |= CH_REVOKED;
    channel_close(&ch->link, WR_CLOSE_RESET);
  }
}

static void channel_query(const wr_link *link, wr_link_info *info) {
  WR_UNUSED(link);
  *info = (wr_link_info){.transport = "channel", .encrypted = true};
}

static const wr_link_ops channel_ops = {.name = "channel",
                                        .read_start = channel_read_start,
                                        .read_stop = channel_read_stop,
                                        .write = channel_write,
                                        .shutdown = channel_shutdown,
                                        .close = channel_close,
                                        .query = channel_query,
                                        .reserve = channel_reserve};

wr_channel *wr_channel_from_link(wr_link *link) {
  return link->ops == &channel_ops ? wr_container_of(link, wr_channel, link)
                                   : NULL;
}

void wr_channel_query(const wr_channel *ch, wr_channel_info *info) {
  *info = (wr_channel_info){.local_id = ch->local_id,
                            .window = ch->window.available,
                            .window_target = ch->window.target,
                            .remote_window = ch->remote_window,
                            .kept = ch->kept.len,
                            .bytes_in = ch->bytes_in,
                            .bytes_out = ch->bytes_out};
}
