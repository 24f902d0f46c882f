/* The connection protocol: packets of a peer that is logged in, mixed with what
   owners of channels do. The input is a row of operations: a byte that says
   which, and for packets a length byte and the payload. */
#include <string.h>

#include "ssh/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINKS 4

static struct {
  uv_loop_t loop;
  wr_ctx ctx;
  bool ready;
  wr_ssh *s;
  wr_link *links[LINKS];
  wr_open *open;
  wr_request *request;
  wr_opening *opening;
  bool accept;
  size_t take; /* how much on_read takes; 0: all */
} f;

static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  WR_UNUSED(link);
  memset(data, 0, len);
  return f.take == 0 ? len : WR_MIN(len, f.take - 1);
}

static void on_eof(wr_link *link) {
  (void)wr_link_shutdown(link);
}

static void write_some(wr_link *link, size_t len) {
  static char zeros[40000];
  size_t half = len / 2;
  uv_buf_t bufs[2] = {uv_buf_init(zeros, (unsigned)half),
                      uv_buf_init(zeros, (unsigned)(len - half))};
  size_t taken = 0;
  int rc = wr_link_write(link, bufs, 2, &taken);
  WR_ASSERT(taken <= len && (rc == 0 || taken == 0 || !wr__ssh_alive(f.s)));
}

static void on_writable(wr_link *link) {
  write_some(link, 100);
}

static void on_close(wr_link *link, int status) {
  WR_UNUSED(status);
  for (size_t i = 0; i < LINKS; i++) {
    if (f.links[i] == link) {
      f.links[i] = NULL;
    }
  }
}

static const wr_link_handler link_handler = {.on_read = on_read,
                                             .on_eof = on_eof,
                                             .on_writable = on_writable,
                                             .on_close = on_close};

static void own(wr_link *link) {
  link->handler = &link_handler;
  for (size_t i = 0; i < LINKS; i++) {
    if (f.links[i] == NULL) {
      f.links[i] = link;
      return;
    }
  }
  wr_link_close(link, WR_CLOSE_ORDERLY);
}

static void on_ready(wr_ssh *s) {
  WR_UNUSED(s);
}

static void on_open(wr_ssh *s, wr_open *open) {
  WR_UNUSED(s);
  const wr_target *t = wr_open_target(open);
  WR_ASSERT(strlen(t->host) <= WR_TARGET_HOST_MAX);
  if (f.open == NULL && !f.accept) {
    f.open = open;
    return;
  }
  wr_link *link = wr_open_accept(open);
  if (link != NULL) {
    own(link);
  }
}

static void on_open_canceled(wr_ssh *s, wr_open *open) {
  WR_UNUSED(s);
  WR_ASSERT(open == f.open);
  f.open = NULL;
}

static void on_request(wr_ssh *s, wr_request *r) {
  WR_UNUSED(s);
  WR_ASSERT(strlen(wr_request_name(r)) < 64);
  if (f.request == NULL) {
    f.request = r;
    return;
  }
  wr_request_reply(r, true, (wr_slice){(const uint8_t *)"1234", 4});
}

static void on_request_canceled(wr_ssh *s, wr_request *r) {
  WR_UNUSED(s);
  WR_ASSERT(r == f.request);
  f.request = NULL;
}

static void on_ssh_close(wr_ssh *s, int status) {
  WR_UNUSED(s);
  WR_UNUSED(status);
  f.s = NULL;
}

static void on_opening(void *user, int status, wr_link *link) {
  WR_UNUSED(user);
  f.opening = NULL;
  WR_ASSERT((status == 0) == (link != NULL));
  if (link != NULL) {
    own(link);
  }
}

static void on_reply(void *user, int status, wr_slice payload) {
  WR_UNUSED(user);
  WR_UNUSED(status);
  WR_UNUSED(payload);
}

static const wr_ssh_handler ssh_handler = {.on_ready = on_ready,
                                           .on_open = on_open,
                                           .on_open_canceled = on_open_canceled,
                                           .on_request = on_request,
                                           .on_request_canceled =
                                               on_request_canceled,
                                           .on_close = on_ssh_close};

static void begin(wr_ssh_role role) {
  if (!f.ready) {
    WR_ASSERT(uv_loop_init(&f.loop) == 0);
    WR_ASSERT(wr_ctx_init(&f.ctx, &f.loop) == 0);
    wr_ctx_fake_clock(&f.ctx);
    f.ready = true;
  }
  wr_ssh_opts o = {.role = role, .handler = &ssh_handler, .max_channels = 6};
  WR_ASSERT(wr__ssh_start_sink(&f.ctx, &o, &f.s) == 0);
}

static void act_on_link(uint8_t op, wr_link *link) {
  switch (op % 8) {
  case 0:
    (void)wr_link_read_start(link);
    break;
  case 1:
    wr_link_read_stop(link);
    break;
  case 2:
    write_some(link, (size_t)op * 150);
    break;
  case 3:
    (void)wr_link_shutdown(link);
    break;
  case 4:
    wr_link_close(link, WR_CLOSE_ORDERLY);
    break;
  case 5:
    wr_link_close(link, WR_CLOSE_RESET);
    break;
  case 6: {
    size_t len = (size_t)op * 10;
    uint8_t *p = link->ops->reserve(link, &len);
    if (p != NULL) {
      uv_buf_t buf = uv_buf_init((char *)p, (unsigned)len);
      size_t taken = 0;
      (void)!wr_link_write(link, &buf, 1, &taken);
    }
    break;
  }
  default:
    f.take = op / 8;
    break;
  }
}

static void act_on_session(uint8_t op) {
  static const wr_target t = {.kind = WR_TARGET_TCP, .host = "h", .port = 1};
  if (op % 8 == 0 && f.open != NULL) {
    wr_open *open = f.open;
    f.open = NULL;
    wr_open_refuse(open, UV_ECONNREFUSED);
  } else if (op % 8 == 1 && f.open != NULL) {
    wr_link *link = wr_open_accept(f.open);
    f.open = NULL;
    if (link != NULL) {
      own(link);
    }
  } else if (op % 8 == 2 && f.request != NULL) {
    wr_request *r = f.request;
    f.request = NULL;
    wr_request_reply(r, (op & 8) != 0, (wr_slice){NULL, 0});
  } else if (op % 8 == 3 && f.opening == NULL) {
    if (wr_ssh_open(f.s, &t, on_opening, NULL, &f.opening) != 0) {
      f.opening = NULL;
    }
  } else if (op % 8 == 4 && f.opening != NULL) {
    wr_opening_cancel(f.opening);
    f.opening = NULL;
  } else if (op % 8 == 5) {
    (void)!wr_ssh_request(f.s, "tcpip-forward", (wr_slice){NULL, 0}, on_reply,
                          NULL);
  } else if (op % 8 == 6) {
    f.accept = (op & 8) != 0;
  } else {
    wr_ctx_advance(&f.ctx, (uint64_t)op * 16);
  }
}

/* Returns how many bytes of the input it used. */
static size_t packet(const uint8_t *data, size_t size) {
  if (size < 2) {
    return size;
  }
  size_t len = WR_MIN((size_t)data[1] + 1, size - 1);
  uint8_t *copy = wr_alloc(&f.ctx.mem, len);
  WR_ASSERT(copy != NULL);
  memcpy(copy, data + 1, len);
  /* The number, and by the operation's upper bits, short ids. */
  copy[0] = (uint8_t)(80 + data[0] / 8 % 21);
  (void)wr__ssh_packet(f.s, copy, len);
  wr_free(&f.ctx.mem, copy);
  return len + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) {
    return 0;
  }
  f.accept = true;
  f.take = 0;
  begin((data[0] & 1) != 0 ? WR_SSH_SERVER : WR_SSH_CLIENT);
  size_t at = 1;
  while (at < size && f.s != NULL) {
    uint8_t op = data[at];
    if (op % 4 == 0 && at + 1 < size) {
      wr_link *link = f.links[op / 4 % LINKS];
      if (link != NULL) {
        act_on_link(data[at + 1], link);
      }
      at += 2;
    } else if (op % 4 == 1) {
      act_on_session(op / 4);
      at++;
    } else if (op % 4 == 2) {
      wr_ctx_run_tasks(&f.ctx);
      at++;
    } else {
      at += packet(data + at, size - at);
    }
  }
  if (f.s != NULL) {
    wr_ssh_abort(f.s, WR_ECLOSED);
  }
  wr_ctx_run_tasks(&f.ctx);
  WR_ASSERT(f.s == NULL && f.open == NULL && f.request == NULL &&
            f.opening == NULL);
  for (size_t i = 0; i < LINKS; i++) {
    WR_ASSERT(f.links[i] == NULL);
  }
  WR_ASSERT(f.ctx.mem.live_blocks == 2);
  return 0;
}
