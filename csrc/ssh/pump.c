#include "ssh/internal.h"

#include <string.h>

/* Data is sent while less than this waits for the link. What waits is in front of
   every later byte of other channels, so it is small. */
#define GATE_BYTES ((size_t)256 * 1024)
/* With this much waiting the link gets it at once, not at the turn's end. */
#define FLUSH_BYTES ((size_t)128 * 1024)
/* A peer that does not read its answers is not listened to while this much
   waits, and is cut off at the second limit. */
#define BACKLOG_HOLD ((size_t)1024 * 1024)
#define BACKLOG_RESUME ((size_t)512 * 1024)
#define BACKLOG_MAX ((size_t)16 * 1024 * 1024)
/* What may be sent, other than data, before a peer ends a key exchange. */
#define REKEY_QUEUE_MAX ((size_t)4 * 1024 * 1024)
/* The largest packet, 256 KiB, and a read behind a part of it. */
#define REST_MAX ((size_t)1024 * 1024)
/* A longer rest is not copied in front of each read. */
#define REST_COPY_MAX ((size_t)64 * 1024)
/* One read: what is in it comes before the bytes of other sockets. */
#define READ_BYTES ((size_t)128 * 1024)
/* Bytes that are surely enough to tell a packet's length. */
#define HEAD_GUESS ((size_t)512)
/* Reads of this size make a session busy. */
#define BUSY_BYTES ((size_t)64 * 1024)

typedef struct held_packet {
  wr_list node;
  size_t len;
} held_packet;

static uint8_t *payload_of(held_packet *h) {
  return (uint8_t *)(h + 1);
}

/* OUTPUT */

static size_t waiting(wr_ssh *s) {
  size_t len = 0;
  wr__transport_output(s->tp, &len);
  return len;
}

void wr__pump_flush(wr_ssh *s) {
  size_t len = 0;
  const uint8_t *data = wr__transport_output(s->tp, &len);
  if (len > BUSY_BYTES) {
    wr__live_busy(s);
  }
  while (len > 0 && s->link != NULL && !s->link_full && !s->link_failed &&
         !s->close_asked) {
    uv_buf_t buf = {.base = (char *)(uintptr_t)data, .len = len};
    size_t taken = 0;
    if (wr_link_write(s->link, &buf, 1, &taken) != 0) {
      s->link_failed = true; /* its on_close follows */
      break;
    }
    s->link_full = taken < len;
    s->bytes_out += taken;
    wr__transport_consume(s->tp, taken);
    data = wr__transport_output(s->tp, &len);
  }
  if ((s->holds & HOLD_BACKLOG) != 0 && len < BACKLOG_RESUME) {
    wr__pump_release(s, HOLD_BACKLOG);
  }
  if (!wr_list_empty(&s->blocked) && wr__pump_gate(s) > 0) {
    wr_task_post(s->ctx, &s->work);
  }
}

/* Any packet takes back the memory that was lent for another. */
static void drop_reservation(wr_ssh *s) {
  s->reserved = NULL;
}

static void check_backlog(wr_ssh *s) {
  if (waiting(s) > FLUSH_BYTES) {
    wr__pump_flush(s);
  } else {
    wr_task_post_flush(s->ctx, &s->flush);
  }
  size_t len = waiting(s);
  if (len > BACKLOG_MAX || s->rekey_queued > REKEY_QUEUE_MAX) {
    wr__ssh_end(s, WR_ELIMIT, DISCONNECT_NONE, "the peer does not read");
  } else if (len > BACKLOG_HOLD) {
    wr__pump_hold(s, HOLD_BACKLOG);
  }
}

void wr__pump_send(wr_ssh *s, const void *head, size_t head_len,
                   const void *data, size_t data_len) {
  if (!wr__ssh_alive(s)) {
    return;
  }
  drop_reservation(s);
  int rc = wr__transport_send(s->tp, head, head_len, data, data_len);
  if (rc != 0) {
    wr__ssh_end(s, rc, DISCONNECT_NONE, "");
    return;
  }
  if (wr__transport_rekeying(s->tp)) {
    s->rekey_queued += head_len + data_len;
  }
  check_backlog(s);
}

void wr__pump_send_buf(wr_ssh *s, const wr_buf *b) {
  wr__pump_send(s, b->data, b->len, NULL, 0);
}

void wr__pump_answered(wr_ssh *s) {
  drop_reservation(s);
  check_backlog(s);
}

size_t wr__pump_gate(wr_ssh *s) {
  if (s->state != SSH_UP || wr__transport_rekeying(s->tp)) {
    return 0;
  }
  size_t len = waiting(s);
  return len < GATE_BYTES ? GATE_BYTES - len : 0;
}

void wr__pump_sent_data(wr_ssh *s) {
  if (waiting(s) > FLUSH_BYTES) {
    wr__pump_flush(s);
    return;
  }
  wr_task_post_flush(s->ctx, &s->flush);
}

/* INPUT */

int wr__pump_keep(wr_ssh *s, const uint8_t *payload, size_t len) {
  held_packet *h = wr_alloc(&s->ctx->mem, sizeof(*h) + len);
  if (h == NULL) {
    wr__ssh_end(s, WR_ENOMEM, DISCONNECT_NONE, "");
    return WR_ENOMEM;
  }
  h->len = len;
  memcpy(payload_of(h), payload, len);
  wr_list_init(&h->node);
  wr_list_push(&s->held, &h->node);
  return 0;
}

static void stop_reading(wr_ssh *s) {
  if (s->link != NULL && s->link_reading) {
    s->link_reading = false;
    wr_link_read_stop(s->link);
  }
}

void wr__pump_hold(wr_ssh *s, unsigned reason) {
  s->holds |= reason;
  stop_reading(s);
}

void wr__pump_release(wr_ssh *s, unsigned reason) {
  if ((s->holds & reason) == 0) {
    return;
  }
  s->holds &= ~reason;
  if (s->holds == 0 && wr__ssh_alive(s)) {
    wr_task_post(s->ctx, &s->work);
  }
}

static void work_on_held(wr_ssh *s) {
  while (s->holds == 0 && wr__ssh_alive(s)) {
    wr_list *node = wr_list_shift(&s->held);
    if (node == NULL) {
      break;
    }
    held_packet *h = wr_container_of(node, held_packet, node);
    int rc = wr__ssh_packet(s, payload_of(h), h->len);
    WR_UNUSED(rc); /* the loop's condition says the same */
    wr_free(&s->ctx->mem, h);
  }
  if (s->holds != 0 || !wr__ssh_alive(s) || s->link_reading ||
      s->link == NULL || s->link_failed) {
    return;
  }
  s->link_reading = true;
  int rc = wr_link_read_start(s->link);
  if (rc != 0) {
    wr__ssh_end(s, rc, DISCONNECT_NONE, "");
  }
}

/* Round robin: each gets one turn, which its quantum bounds. */
static void work_on_writers(wr_ssh *s) {
  wr_list round;
  wr_list_move(&round, &s->blocked);
  while (wr__ssh_alive(s) && wr__pump_gate(s) > 0) {
    wr_list *node = wr_list_shift(&round);
    if (node == NULL) {
      return;
    }
    wr__channel_writable(wr__channel_from_blocked(node));
  }
  /* Who had no turn is the first next time. */
  while (!wr_list_empty(&round)) {
    wr_list *node = round.prev;
    wr_list_remove(node);
    wr_list_insert_after(&s->blocked, node);
  }
}

static void work_on_channels(wr_ssh *s) {
  wr_list round;
  wr_list_move(&round, &s->ready);
  wr_list *node = wr_list_shift(&round);
  while (node != NULL) {
    wr__channel_work(wr__channel_from_ready(node));
    node = wr_list_shift(&round);
  }
}

static void on_work(wr_task *task) {
  wr_ssh *s = wr_container_of(task, wr_ssh, work);
  if (s->state == SSH_UP && (s->holds & HOLD_READY) != 0) {
    wr__ssh_announce(s);
  }
  work_on_held(s);
  work_on_writers(s);
  work_on_channels(s);
}

/* What is left over becomes the rest. p may point into the rest. */
static int keep_rest(wr_ssh *s, const uint8_t *p, size_t n, bool from_rest) {
  if (from_rest) {
    wr_buf_consume(&s->rest, s->rest.len - n);
  } else {
    wr_buf_consume(&s->rest, s->rest.len);
    int rc = n > 0 ? wr_buf_append(&s->rest, p, n) : 0;
    if (rc != 0) {
      return rc;
    }
  }
  if (s->rest.len == 0) {
    wr_buf_reset(&s->rest);
  }
  return 0;
}

static void end_of_input(wr_ssh *s, int rc) {
  if (rc == WR_EPEER_CLOSED) {
    wr__ssh_end(s, wr__auth_client_status(s, rc), DISCONNECT_HEARD, "");
  } else if (rc == WR_ENOMEM || rc == WR_ELIMIT) {
    wr__ssh_end(s, rc, DISCONNECT_NONE, "");
  } else {
    wr__ssh_end(s, rc, WR_DISCONNECT_PROTOCOL, "protocol error");
  }
}

/* Packets from the front of p. */
static void input(wr_ssh *s, uint8_t *p, size_t n, bool from_rest) {
  size_t done = 0;
  int rc = wr__transport_input(s->tp, p, n, &done);
  if (!wr__ssh_alive(s)) {
    return;
  }
  if (rc == 0) {
    rc = keep_rest(s, p + done, n - done, from_rest);
  }
  if (rc != 0) {
    end_of_input(s, rc);
  }
}

/* The bytes are not behind the rest: as many as complete its packet are copied
   there, so that the others stay where they are. Returns how many that was. */
static size_t complete_rest(wr_ssh *s, const uint8_t *data, size_t len) {
  size_t wanted = wr__transport_wanted(s->tp);
  size_t part = wanted > s->rest.len ? wanted - s->rest.len : HEAD_GUESS;
  part = WR_MIN(part, len);
  int rc = wr_buf_append(&s->rest, data, part);
  if (rc != 0) {
    end_of_input(s, rc);
    return part;
  }
  input(s, s->rest.data, s->rest.len, true);
  return part;
}

/* LINK */

static void on_link_alloc(wr_link *link, uint8_t **base, size_t *len) {
  wr_ssh *s = link->user;
  size_t left = s->rest.len;
  s->in_scratch = left <= REST_COPY_MAX;
  if (left > 0 && s->in_scratch) {
    memcpy(s->ctx->scratch, s->rest.data, left);
  } else {
    left = 0;
  }
  *base = s->ctx->scratch + left;
  *len = s->link_reading ? WR_MIN(WR_SCRATCH_SIZE - left, READ_BYTES) : 0;
}

static size_t on_link_read(wr_link *link, uint8_t *data, size_t len) {
  wr_ssh *s = link->user;
  bool behind_rest = s->in_scratch && data == s->ctx->scratch + s->rest.len;
  s->in_scratch = false;
  if (!wr__ssh_alive(s)) {
    return len;
  }
  s->bytes_in += len;
  wr__live_heard(s);
  if (len > BUSY_BYTES) {
    wr__live_busy(s);
  }
  drop_reservation(s);
  wr_task_post_flush(s->ctx, &s->flush);
  if (behind_rest) {
    input(s, s->ctx->scratch, s->rest.len + len, false);
    return len;
  }
  size_t done = 0;
  while (s->rest.len > 0 && done < len && wr__ssh_alive(s)) {
    done += complete_rest(s, data + done, len - done);
  }
  if (done < len && wr__ssh_alive(s)) {
    input(s, data + done, len - done, false);
  }
  return len;
}

static void on_link_eof(wr_link *link) {
  wr_ssh *s = link->user;
  s->link_ended = true;
  wr__ssh_end(s, WR_EPEER_CLOSED, DISCONNECT_HEARD, "");
  wr_task_post(s->ctx, &s->end); /* a farewell that waits for it is over */
}

static void on_link_writable(wr_link *link) {
  wr_ssh *s = link->user;
  s->link_full = false;
  if ((s->holds & HOLD_BACKLOG) != 0) {
    wr__live_heard(s); /* it reads again */
  }
  wr__pump_flush(s);
  if (s->state == SSH_ENDING) {
    wr_task_post(s->ctx, &s->end);
  }
}

static void on_link_close(wr_link *link, int status) {
  wr_ssh *s = link->user;
  s->link = NULL;
  s->link_failed = true;
  wr__ssh_end(s, status == 0 ? WR_EPEER_CLOSED : status, DISCONNECT_NONE, "");
  wr_task_post(s->ctx, &s->end);
}

const wr_link_handler wr__pump_handler = {.alloc = on_link_alloc,
                                          .on_read = on_link_read,
                                          .on_eof = on_link_eof,
                                          .on_writable = on_link_writable,
                                          .on_close = on_link_close};

void wr__pump_init(wr_ssh *s) {
  wr_buf_init(&s->rest, &s->ctx->mem, REST_MAX);
  wr_list_init(&s->held);
  wr_list_init(&s->blocked);
  wr_list_init(&s->ready);
  wr_task_init(&s->work, on_work);
}

void wr__pump_reset(wr_ssh *s) {
  wr_list *node = wr_list_shift(&s->held);
  while (node != NULL) {
    wr_free(&s->ctx->mem, wr_container_of(node, held_packet, node));
    node = wr_list_shift(&s->held);
  }
  wr_buf_reset(&s->rest);
}
