#include "ssh/internal.h"

#include <string.h>

/* Requests of the peer that may wait for an answer, and those of ours. */
#define REQUESTS_MAX 64u
#define ASKED_MAX 4096u
#define NAME_MAX_LEN ((size_t)64)
#define PAYLOAD_MAX ((size_t)4096)
#define ANSWER_MAX ((size_t)4096)

struct wr_request {
  wr_list node;
  wr_ssh *s;
  void *user;
  bool want_reply;
  bool answered;
  bool ok;
  uint8_t *answer; /* its data, NULL for none */
  size_t answer_len;
  size_t payload_len;
  char name[NAME_MAX_LEN + 1];
  /* payload_len bytes of payload follow */
};

/* A request of ours whose answer is awaited. */
typedef struct asked {
  wr_list node;
  wr_reply_cb cb; /* NULL: nobody wants to know */
  void *user;
} asked;

/* REQUESTS OF THE PEER */

static void send_answer(wr_ssh *s, bool ok, const uint8_t *data, size_t len) {
  uint8_t number = ok ? MSG_REQUEST_SUCCESS : MSG_REQUEST_FAILURE;
  wr__pump_send(s, &number, 1, data, ok ? len : 0);
}

static void free_request(wr_request *r) {
  wr_ssh *s = r->s;
  wr_list_remove(&r->node);
  s->n_requests--;
  wr_free(&s->ctx->mem, r->answer);
  wr_free(&s->ctx->mem, r);
  if (s->n_requests < REQUESTS_MAX) {
    wr__pump_release(s, HOLD_REQUESTS);
  }
}

/* Answers go in the order of the requests (RFC 4254, section 4). */
static void send_answers(wr_ssh *s) {
  while (wr__ssh_alive(s) && !wr_list_empty(&s->requests)) {
    wr_request *r = wr_container_of(s->requests.next, wr_request, node);
    if (!r->answered) {
      return;
    }
    if (r->want_reply) {
      send_answer(s, r->ok, r->answer, r->answer_len);
    }
    free_request(r);
  }
}

static wr_request *add_request(wr_ssh *s, wr_slice name, wr_slice payload,
                               bool want_reply) {
  wr_request *r = wr_alloc(&s->ctx->mem, sizeof(*r) + payload.len);
  if (r == NULL) {
    wr__ssh_end(s, WR_ENOMEM, DISCONNECT_NONE, "");
    return NULL;
  }
  *r = (wr_request){
      .s = s, .want_reply = want_reply, .payload_len = payload.len};
  memcpy(r->name, name.data, name.len);
  r->name[name.len] = '\0';
  if (payload.len > 0) {
    memcpy(r + 1, payload.data, payload.len);
  }
  wr_list_init(&r->node);
  wr_list_push(&s->requests, &r->node);
  s->n_requests++;
  if (s->n_requests >= REQUESTS_MAX) {
    wr__pump_hold(s, HOLD_REQUESTS);
  }
  return r;
}

/* An answer of the session's own. */
static void answer_itself(wr_ssh *s, bool ok, bool want_reply) {
  if (!want_reply) {
    return;
  }
  if (wr_list_empty(&s->requests)) {
    send_answer(s, ok, NULL, 0);
    return;
  }
  wr_request *r = add_request(s, (wr_slice){(const uint8_t *)"", 0},
                              (wr_slice){NULL, 0}, true);
  if (r != NULL) {
    r->answered = true;
    r->ok = ok;
  }
}

/* Requests that are for the owner. */
static bool is_for_owner(wr_slice name) {
  static const char *const names[] = {"tcpip-forward", "cancel-tcpip-forward",
                                      "streamlocal-forward@openssh.com",
                                      "cancel-streamlocal-forward@openssh.com",
                                      "instance@wraith"};
  for (size_t i = 0; i < WR_COUNTOF(names); i++) {
    if (wr_slice_eq(name, names[i])) {
      return true;
    }
  }
  return false;
}

static void on_global_request(wr_ssh *s, wr_rd *rd) {
  wr_slice name = wr_rd_string(rd);
  bool want_reply = wr_rd_bool(rd);
  if (rd->bad) {
    wr__ssh_bad(s, "malformed packet");
    return;
  }
  wr_slice payload = {rd->p, rd->left};
  if (wr_slice_eq(name, "keepalive@openssh.com")) {
    answer_itself(s, true, want_reply);
    return;
  }
  if (s->handler->on_request == NULL || !is_for_owner(name) ||
      payload.len > PAYLOAD_MAX) {
    answer_itself(s, false, want_reply);
    return;
  }
  wr_request *r = add_request(s, name, payload, want_reply);
  if (r != NULL) {
    s->handler->on_request(s, r);
  }
}

const char *wr_request_name(const wr_request *r) {
  return r->name;
}

wr_slice wr_request_payload(const wr_request *r) {
  return (wr_slice){(const uint8_t *)(r + 1), r->payload_len};
}

void wr_request_set_user(wr_request *r, void *user) {
  r->user = user;
}

void *wr_request_user(const wr_request *r) {
  return r->user;
}

void wr_request_reply(wr_request *r, bool ok, wr_slice payload) {
  wr_ssh *s = r->s;
  WR_ASSERT(!r->answered);
  r->answered = true;
  r->ok = ok;
  if (!wr__ssh_alive(s)) {
    free_request(r);
    return;
  }
  if (ok && r->want_reply && payload.len > 0) {
    WR_ASSERT(payload.len <= ANSWER_MAX);
    r->answer = wr_alloc(&s->ctx->mem, payload.len);
    if (r->answer == NULL) {
      wr__ssh_end(s, WR_ENOMEM, DISCONNECT_NONE, "");
      return;
    }
    memcpy(r->answer, payload.data, payload.len);
    r->answer_len = payload.len;
  }
  send_answers(s);
}

/* REQUESTS OF OURS */

int wr__conn_request(wr_ssh *s, const char *name, wr_slice payload,
                     wr_reply_cb cb, void *user) {
  if (s->state != SSH_UP) {
    return WR_ECLOSED;
  }
  if (cb != NULL && s->n_asked >= ASKED_MAX) {
    return WR_EBUSY;
  }
  uint8_t head[1 + 4 + NAME_MAX_LEN + 1];
  size_t n = strlen(name);
  WR_ASSERT(n <= NAME_MAX_LEN);
  asked *a = NULL;
  if (cb != NULL) {
    a = wr_alloc(&s->ctx->mem, sizeof(*a));
    if (a == NULL) {
      return WR_ENOMEM;
    }
    *a = (asked){.cb = cb, .user = user};
    wr_list_init(&a->node);
    wr_list_push(&s->asked, &a->node);
    s->n_asked++;
  }
  head[0] = MSG_GLOBAL_REQUEST;
  wr_put_u32(head + 1, (uint32_t)n);
  memcpy(head + 5, name, n);
  head[5 + n] = cb != NULL ? 1 : 0;
  wr__pump_send(s, head, 6 + n, payload.data, payload.len);
  return 0;
}

int wr_ssh_request(wr_ssh *s, const char *name, wr_slice payload,
                   wr_reply_cb cb, void *user) {
  return wr__conn_request(s, name, payload, cb, user);
}

void wr_ssh_forget(wr_ssh *s, void *user) {
  wr_list_each(it, &s->asked) {
    asked *a = wr_container_of(it, asked, node);
    if (a->user == user) {
      a->cb = NULL;
    }
  }
}

static void finish_asked(wr_ssh *s, asked *a, int status, wr_slice payload) {
  wr_reply_cb cb = a->cb;
  void *user = a->user;
  wr_list_remove(&a->node);
  s->n_asked--;
  wr_free(&s->ctx->mem, a);
  if (cb != NULL) {
    cb(user, status, payload);
  }
}

/* An answer to nothing is ignored, as OpenSSH does. */
static void on_answer(wr_ssh *s, bool ok, wr_slice payload) {
  if (wr_list_empty(&s->asked)) {
    return;
  }
  asked *a = wr_container_of(s->asked.next, asked, node);
  finish_asked(s, a, ok ? 0 : WR_EFORWARD_REFUSED, payload);
}

/* BOTH */

void wr__conn_cancel(wr_ssh *s) {
  while (!wr_list_empty(&s->requests)) {
    wr_request *r = wr_container_of(s->requests.next, wr_request, node);
    if (!r->answered) {
      r->answered = true;
      s->handler->on_request_canceled(s, r);
    }
    free_request(r);
  }
  while (!wr_list_empty(&s->asked)) {
    asked *a = wr_container_of(s->asked.next, asked, node);
    finish_asked(s, a, WR_ECLOSED, (wr_slice){NULL, 0});
  }
}

bool wr__conn_knows(uint8_t number) {
  return (number >= MSG_GLOBAL_REQUEST && number <= MSG_REQUEST_FAILURE) ||
         (number >= MSG_CHANNEL_OPEN && number <= MSG_CHANNEL_FAILURE);
}

void wr__conn_packet(wr_ssh *s, uint8_t *p, size_t len) {
  wr_rd r;
  wr_rd_init(&r, p + 1, len - 1);
  switch (p[0]) {
  case MSG_GLOBAL_REQUEST:
    on_global_request(s, &r);
    break;
  case MSG_REQUEST_SUCCESS:
  case MSG_REQUEST_FAILURE:
    on_answer(s, p[0] == MSG_REQUEST_SUCCESS, (wr_slice){r.p, r.left});
    break;
  case MSG_CHANNEL_OPEN:
    wr__opens_packet(s, p, len);
    break;
  case MSG_CHANNEL_OPEN_CONFIRMATION:
    wr__opens_confirmed(s, p, len);
    break;
  case MSG_CHANNEL_OPEN_FAILURE:
    wr__opens_failed(s, p, len);
    break;
  default:
    wr__channel_packet(s, p, len);
    break;
  }
}
