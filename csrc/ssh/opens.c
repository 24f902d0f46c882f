#include "ssh/internal.h"

#include <string.h>

/* Payload that a peer may send us in one packet: what everybody offers. */
#define OUR_MAX_PACKET ((uint32_t)WR_PACKET_DATA_MAX)
#define OPEN_MAX ((size_t)1024)

struct wr_open {
  wr_ssh *s;
  void *user;
  uint32_t local_id;
  uint32_t remote_id;
  uint32_t remote_window;
  uint32_t remote_max;
  wr_target target;
};

struct wr_opening {
  wr_ssh *s;
  wr_opening_cb cb;
  void *user;
  uint32_t local_id;
  wr_channel *ch; /* not begun; its window is in the request */
  bool revoked;   /* by a review: it comes to nothing */
};

typedef struct channel_type {
  const char *name;
  wr_target_kind kind;
  wr_ssh_role taker; /* who may be asked for it */
} channel_type;

static const channel_type types[] = {
    {"direct-tcpip", WR_TARGET_TCP, WR_SSH_SERVER},
    {"direct-streamlocal@openssh.com", WR_TARGET_UNIX, WR_SSH_SERVER},
    {"forwarded-tcpip", WR_TARGET_FORWARDED_TCP, WR_SSH_CLIENT},
    {"forwarded-streamlocal@openssh.com", WR_TARGET_FORWARDED_UNIX,
     WR_SSH_CLIENT}};

/* OPENS OF THE PEER */

static void send_refusal(wr_ssh *s, uint32_t remote_id, wr_reason reason) {
  uint8_t p[64];
  size_t n = strlen(reason.token);
  WR_ASSERT(17 + n <= sizeof(p));
  p[0] = MSG_CHANNEL_OPEN_FAILURE;
  wr_put_u32(p + 1, remote_id);
  wr_put_u32(p + 5, reason.code);
  wr_put_u32(p + 9, (uint32_t)n);
  memcpy(p + 13, reason.token, n);
  wr_put_u32(p + 13 + n, 0);
  wr__pump_send(s, p, 17 + n, NULL, 0);
}

static bool copy_text(char *dst, size_t size, wr_slice text) {
  if (text.len >= size || wr_slice_has_nul(text)) {
    dst[0] = '\0';
    return false;
  }
  if (text.len > 0) {
    memcpy(dst, text.data, text.len);
  }
  dst[text.len] = '\0';
  return true;
}

/* What stands behind the common part. False: malformed. *usable tells whether
   the target makes sense. */
static bool read_target(wr_rd *r, wr_target_kind kind, wr_target *t,
                        bool *usable) {
  uint32_t port = 0;
  uint32_t origin_port = 0;
  wr_slice origin = {NULL, 0};
  wr_slice host = wr_rd_string(r);
  if (kind == WR_TARGET_TCP || kind == WR_TARGET_FORWARDED_TCP) {
    port = wr_rd_u32(r);
    origin = wr_rd_string(r);
    origin_port = wr_rd_u32(r);
  } else {
    wr_rd_string(r); /* reserved */
    if (kind == WR_TARGET_UNIX) {
      wr_rd_u32(r);
    }
  }
  if (!wr_rd_done(r)) {
    return false;
  }
  t->kind = kind;
  t->port = (uint16_t)port;
  t->origin_port = (uint16_t)origin_port;
  copy_text(t->origin_host, sizeof(t->origin_host), origin);
  *usable = copy_text(t->host, sizeof(t->host), host) && port <= UINT16_MAX &&
            (host.len > 0 || kind == WR_TARGET_FORWARDED_TCP);
  return true;
}

static const channel_type *find_type(const wr_ssh *s, wr_slice name) {
  for (size_t i = 0; i < WR_COUNTOF(types); i++) {
    if (wr_slice_eq(name, types[i].name) && types[i].taker == s->role) {
      return &types[i];
    }
  }
  return NULL;
}

static void refuse_type(wr_ssh *s, wr_slice name, uint32_t remote_id) {
  wr_reason reason = {WR_REASON_UNKNOWN_TYPE, "unknown"};
  if (wr_slice_eq(name, "session")) {
    reason = (wr_reason){WR_REASON_PROHIBITED, "denied"};
  }
  send_refusal(s, remote_id, reason);
}

static void hand_over(wr_ssh *s, const wr_open *from) {
  wr_open *open = wr_alloc(&s->ctx->mem, sizeof(*open));
  int rc = WR_ENOMEM;
  if (open != NULL) {
    *open = *from;
    rc = wr__table_add(&s->table, WR_SLOT_OPEN, open, &open->local_id);
  }
  if (rc != 0) {
    wr_free(&s->ctx->mem, open);
    send_refusal(s, from->remote_id, wr__reason_from_error(rc));
    return;
  }
  s->handler->on_open(s, open);
}

void wr__opens_packet(wr_ssh *s, const uint8_t *p, size_t len) {
  wr_open open = {.s = s};
  wr_rd r;
  wr_rd_init(&r, p + 1, len - 1);
  wr_slice name = wr_rd_string(&r);
  open.remote_id = wr_rd_u32(&r);
  open.remote_window = wr_rd_u32(&r);
  open.remote_max = wr_rd_u32(&r);
  if (r.bad) {
    wr__ssh_bad(s, "malformed packet");
    return;
  }
  const channel_type *type = find_type(s, name);
  if (type == NULL || s->handler->on_open == NULL) {
    refuse_type(s, name, open.remote_id);
    return;
  }
  bool usable = false;
  if (!read_target(&r, type->kind, &open.target, &usable) ||
      open.remote_max == 0) {
    wr__ssh_bad(s, "malformed packet");
    return;
  }
  if (!usable) {
    send_refusal(s, open.remote_id, wr__reason_from_error(WR_ECHANNEL_FAILED));
    return;
  }
  hand_over(s, &open);
}

const wr_target *wr_open_target(const wr_open *open) {
  return &open->target;
}

void wr_open_set_user(wr_open *open, void *user) {
  open->user = user;
}

void *wr_open_user(const wr_open *open) {
  return open->user;
}

static void send_confirmation(wr_ssh *s, const wr_open *open, uint32_t window) {
  uint8_t p[17];
  p[0] = MSG_CHANNEL_OPEN_CONFIRMATION;
  wr_put_u32(p + 1, open->remote_id);
  wr_put_u32(p + 5, open->local_id);
  wr_put_u32(p + 9, window);
  wr_put_u32(p + 13, OUR_MAX_PACKET);
  wr__pump_send(s, p, sizeof(p), NULL, 0);
}

static wr_link *accept_with(wr_open *open, const char *label) {
  wr_ssh *s = open->s;
  wr_channel *ch = wr__ssh_alive(s) ? wr__channel_new(s) : NULL;
  if (ch != NULL && label != NULL && wr__channel_set_label(ch, label) != 0) {
    wr__channel_free(ch);
    ch = NULL;
  }
  if (ch == NULL) {
    wr_open_refuse(open, WR_ENOMEM);
    return NULL;
  }
  send_confirmation(s, open, wr__channel_window(ch));
  wr_link *link = wr__channel_begin(ch, open->local_id, open->remote_id,
                                    open->remote_window, open->remote_max);
  wr_free(&s->ctx->mem, open);
  return link;
}

wr_link *wr_open_accept(wr_open *open) {
  return accept_with(open, NULL);
}

wr_link *wr_open_accept_labelled(wr_open *open, const char *label) {
  return accept_with(open, label);
}

void wr_open_refuse(wr_open *open, int err) {
  wr_ssh *s = open->s;
  wr__table_remove(&s->table, open->local_id);
  send_refusal(s, open->remote_id, wr__reason_from_error(err));
  wr_free(&s->ctx->mem, open);
}

/* OPENS OF OURS */

static const char *type_name(wr_target_kind kind) {
  for (size_t i = 0; i < WR_COUNTOF(types); i++) {
    if (types[i].kind == kind) {
      return types[i].name;
    }
  }
  return NULL;
}

static int put_target(wr_buf *b, const wr_target *t) {
  bool tcp = t->kind == WR_TARGET_TCP || t->kind == WR_TARGET_FORWARDED_TCP;
  int rc = wr_buf_put_cstring(b, t->host);
  if (tcp) {
    rc = rc != 0 ? rc : wr_buf_put_u32(b, t->port);
    rc = rc != 0 ? rc : wr_buf_put_cstring(b, t->origin_host);
    return rc != 0 ? rc : wr_buf_put_u32(b, t->origin_port);
  }
  rc = rc != 0 ? rc : wr_buf_put_cstring(b, "");
  if (t->kind == WR_TARGET_UNIX) {
    rc = rc != 0 ? rc : wr_buf_put_u32(b, 0);
  }
  return rc;
}

static int put_open(wr_buf *b, const wr_opening *o, const wr_target *t) {
  int rc = wr_buf_put_u8(b, MSG_CHANNEL_OPEN);
  rc = rc != 0 ? rc : wr_buf_put_cstring(b, type_name(t->kind));
  rc = rc != 0 ? rc : wr_buf_put_u32(b, o->local_id);
  rc = rc != 0 ? rc : wr_buf_put_u32(b, wr__channel_window(o->ch));
  rc = rc != 0 ? rc : wr_buf_put_u32(b, OUR_MAX_PACKET);
  return rc != 0 ? rc : put_target(b, t);
}

static void free_opening(wr_opening *o) {
  wr_ssh *s = o->s;
  if (o->ch != NULL) {
    wr__channel_free(o->ch);
  }
  wr_free(&s->ctx->mem, o);
}

int wr_ssh_open(wr_ssh *s, const wr_target *target, wr_opening_cb cb,
                void *user, wr_opening **out) {
  if (s->state != SSH_UP) {
    return WR_ECLOSED;
  }
  if (type_name(target->kind) == NULL) {
    return WR_EINVAL;
  }
  wr_opening *o = wr_calloc(&s->ctx->mem, 1, sizeof(*o));
  if (o == NULL) {
    return WR_ENOMEM;
  }
  o->s = s;
  o->cb = cb;
  o->user = user;
  o->ch = wr__channel_new(s);
  int rc = o->ch == NULL
               ? WR_ENOMEM
               : wr__table_add(&s->table, WR_SLOT_OPENING, o, &o->local_id);
  if (rc != 0) {
    free_opening(o);
    return rc == WR_ELIMIT ? WR_ECHANNEL_LIMIT : rc;
  }
  wr_buf b;
  wr_buf_init(&b, &s->ctx->mem, OPEN_MAX);
  rc = put_open(&b, o, target);
  if (rc == 0) {
    wr__pump_send_buf(s, &b);
    *out = o;
  } else {
    wr__table_remove(&s->table, o->local_id);
    free_opening(o);
  }
  wr_buf_reset(&b);
  return rc;
}

int wr_opening_set_label(wr_opening *opening, const char *label) {
  return wr__channel_set_label(opening->ch, label);
}

const char *wr__opening_label(const wr_opening *opening) {
  return wr__channel_label(opening->ch);
}

void wr__opening_revoke(wr_opening *opening) {
  opening->revoked = true;
}

/* The peer answers all the same, so the slot stays. */
void wr_opening_cancel(wr_opening *opening) {
  wr__table_set(&opening->s->table, opening->local_id, WR_SLOT_CANCELED, NULL);
  free_opening(opening);
}

static void send_close(wr_ssh *s, uint32_t remote_id) {
  uint8_t p[5] = {MSG_CHANNEL_CLOSE};
  wr_put_u32(p + 1, remote_id);
  wr__pump_send(s, p, sizeof(p), NULL, 0);
}

static void finish_opening(wr_opening *o, int status, wr_link *link) {
  wr_opening_cb cb = o->cb;
  void *user = o->user;
  free_opening(o);
  cb(user, status, link);
}

void wr__opens_confirmed(wr_ssh *s, const uint8_t *p, size_t len) {
  wr_rd r;
  wr_rd_init(&r, p + 1, len - 1);
  uint32_t id = wr_rd_u32(&r);
  uint32_t remote_id = wr_rd_u32(&r);
  uint32_t window = wr_rd_u32(&r);
  uint32_t max_packet = wr_rd_u32(&r);
  void *object = NULL;
  wr_slot_kind kind = wr__table_get(&s->table, id, &object);
  if (r.bad || max_packet == 0 ||
      (kind != WR_SLOT_OPENING && kind != WR_SLOT_CANCELED)) {
    wr__ssh_bad(s, "unexpected channel confirmation");
    return;
  }
  if (kind == WR_SLOT_CANCELED) {
    wr__table_set(&s->table, id, WR_SLOT_CLOSING, NULL);
    send_close(s, remote_id);
    return;
  }
  wr_opening *o = object;
  if (o->revoked) {
    wr__table_set(&s->table, id, WR_SLOT_CLOSING, NULL);
    send_close(s, remote_id);
    finish_opening(o, WR_ECHANNEL_DENIED, NULL);
    return;
  }
  wr_channel *ch = o->ch;
  o->ch = NULL;
  wr_link *link = wr__channel_begin(ch, id, remote_id, window, max_packet);
  finish_opening(o, 0, link);
}

void wr__opens_failed(wr_ssh *s, const uint8_t *p, size_t len) {
  wr_rd r;
  wr_rd_init(&r, p + 1, len - 1);
  uint32_t id = wr_rd_u32(&r);
  uint32_t code = wr_rd_u32(&r);
  bool bad = r.bad;
  wr_slice text = wr_rd_string(&r); /* some peers leave it out */
  void *object = NULL;
  wr_slot_kind kind = wr__table_get(&s->table, id, &object);
  if (bad || (kind != WR_SLOT_OPENING && kind != WR_SLOT_CANCELED)) {
    wr__ssh_bad(s, "unexpected channel failure");
    return;
  }
  wr__table_remove(&s->table, id);
  if (kind == WR_SLOT_OPENING) {
    finish_opening(object, wr__reason_to_error(code, text), NULL);
  }
}

void wr__opens_cancel(wr_ssh *s, uint32_t id) {
  void *object = NULL;
  wr_slot_kind kind = wr__table_get(&s->table, id, &object);
  wr__table_remove(&s->table, id);
  if (kind == WR_SLOT_OPENING) {
    finish_opening(object, WR_ECLOSED, NULL);
    return;
  }
  s->handler->on_open_canceled(s, object);
  wr_free(&s->ctx->mem, object);
}
