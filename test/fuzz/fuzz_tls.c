/* The first byte chooses. Even: the rest are bytes for a TLS server, in pieces of
   a length that the second one says. Odd: a TLS client and a server over a
   memory pair, and each further byte is an operation at one end or a fault,
   inside callbacks too. Whatever happens, the bytes that arrive are those that
   were sent, each handshake calls back once, every link closes once, and no
   memory is left. */

#include "tls_help.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct actor {
  wr_tls *tls; /* while the callback is owed */
  wr_link *link;
  uint64_t sent;
  uint64_t got;
  size_t max_take; /* 0: all */
  int n_cb;
  bool eof;
} actor;

/* One run. What is above `data` outlives it. */
static struct {
  wr_ctx ctx;
  uv_loop_t loop;
  bool ready;
  wr_tls_ctx *server_ctx;
  wr_tls_ctx *client_ctx;
  size_t blocks;
  const uint8_t *data;
  size_t size;
  actor end[2]; /* server, client */
  wr_link *raw[2];
  unsigned plan; /* operations that callbacks shall take */
  bool in_callback;
} f;

static void operate(uint8_t op);

static uint8_t wave(size_t who, uint64_t at) {
  return (uint8_t)((at * 131 + (at >> 8) * 7) ^ (who == 0 ? 0x5a : 0));
}

static size_t who_of(const actor *x) {
  return x == &f.end[0] ? 0 : 1;
}

/* An operation from the input inside a callback. */
static void interfere(void) {
  if (f.plan == 0 || f.size == 0) {
    return;
  }
  f.plan--;
  f.size--;
  bool nested = f.in_callback;
  f.in_callback = true;
  operate(*f.data++);
  f.in_callback = nested;
}

static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  actor *x = link->user;
  WR_ASSERT(len > 0 && !x->eof && x->link != NULL);
  size_t take = x->max_take != 0 ? WR_MIN(len, x->max_take) : len;
  for (size_t i = 0; i < take; i++) {
    WR_ASSERT(data[i] == wave(1 - who_of(x), x->got + i));
    data[i] = 0;
  }
  x->got += take;
  interfere();
  return take;
}

static void on_eof(wr_link *link) {
  actor *x = link->user;
  WR_ASSERT(!x->eof && x->link != NULL);
  x->eof = true;
  interfere();
}

static void on_writable(wr_link *link) {
  actor *x = link->user;
  WR_ASSERT(x->link != NULL);
  interfere();
}

/* The memory pair goes when its links end, and is left alone from then on. */
static void forget_raw(void) {
  f.raw[0] = f.raw[1] = NULL;
}

static void on_close(wr_link *link, int status) {
  actor *x = link->user;
  WR_UNUSED(status);
  WR_ASSERT(x->link != NULL);
  forget_raw();
  x->link = NULL;
  interfere();
}

static const wr_link_handler handler = {.on_read = on_read,
                                        .on_eof = on_eof,
                                        .on_writable = on_writable,
                                        .on_close = on_close};

static void on_tls(void *user, int status, wr_link *link) {
  actor *x = user;
  x->n_cb++;
  x->tls = NULL;
  WR_ASSERT(status == 0 || status == WR_ETLS_PLAIN || link == NULL);
  if (link != NULL) {
    x->link = link;
    link->user = x;
    link->handler = &handler;
  }
  if (status != 0) {
    forget_raw();
  }
  if (status == WR_ETLS_PLAIN) {
    wr_link_close(link, WR_CLOSE_ORDERLY);
    return;
  }
  interfere();
}

static void act_write(actor *x, size_t len) {
  static char bytes[70000];
  size_t taken = 0;
  if (x->link == NULL) {
    return;
  }
  for (size_t i = 0; i < len; i++) {
    bytes[i] = (char)wave(who_of(x), x->sent + i);
  }
  uv_buf_t bufs[2] = {uv_buf_init(bytes, (unsigned)(len / 3)),
                      uv_buf_init(bytes + len / 3, (unsigned)(len - len / 3))};
  int err = wr_link_write(x->link, bufs, 2, &taken);
  WR_ASSERT(taken <= len && (err == 0 || taken == 0));
  x->sent += taken;
}

static void act_fault(unsigned which, unsigned kind) {
  static const wr_mempair_faults kinds[4] = {
      {0},
      {.max_write = 300, .max_read = 500},
      {.stalled = true},
      {.delay_ms = 9}};
  if (f.raw[which & 1] != NULL && !f.in_callback) {
    wr_mempair_set_faults(f.raw[which & 1], &kinds[kind & 3]);
  }
}

static void leave_raw(void) {
  act_fault(0, 0);
  act_fault(1, 0);
  forget_raw();
}

static void act_close(actor *x, unsigned arg) {
  leave_raw();
  if (x->link != NULL) {
    wr_link_close(x->link, (arg & 2) != 0 ? WR_CLOSE_RESET : WR_CLOSE_ORDERLY);
  } else if (x->tls != NULL) {
    wr_tls_cancel(x->tls);
    x->tls = NULL;
    x->n_cb++; /* it will not come */
  }
}

static void act_cut(unsigned arg) {
  wr_link *link = f.raw[arg & 1];
  leave_raw();
  if (link != NULL) {
    wr_mempair_cut(link, (arg & 2) != 0 ? UV_ECONNRESET : 0);
  }
}

static void act_time(unsigned arg) {
  if (f.in_callback) {
    return;
  }
  if (arg == 0) {
    wr_ctx_run_tasks(&f.ctx);
  } else {
    wr_ctx_advance(&f.ctx, (uint64_t)arg * arg * arg);
  }
}

static void act_link(actor *x, unsigned op) {
  if (x->link == NULL) {
    return;
  }
  if (op == 2) {
    (void)wr_link_read_start(x->link);
  } else if (op == 3) {
    wr_link_read_stop(x->link);
  } else {
    (void)wr_link_shutdown(x->link);
  }
}

static void operate(uint8_t op) {
  unsigned arg = op >> 4;
  actor *x = &f.end[arg & 1];
  switch (op & 15) {
  case 0:
  case 1:
    act_write(&f.end[op & 1], (size_t)arg * arg * arg * 20 + 1);
    break;
  case 2:
  case 3:
  case 4:
    act_link(x, op & 15);
    break;
  case 5:
    x->max_take = (size_t)(arg >> 1) * 100;
    break;
  case 6:
    act_fault(arg, arg >> 1);
    break;
  case 7:
    act_close(x, arg);
    break;
  case 8:
    act_cut(arg);
    break;
  case 9:
    leave_raw();
    f.ctx.mem.fail_at = f.ctx.mem.total + 1 + arg;
    break;
  case 10:
    f.plan += arg;
    break;
  default:
    act_time(arg);
    break;
  }
}

static void set_up(void) {
  static const cert_spec spec = {.names = "DNS:a.test"};
  pki p;
  if (f.ready) {
    return;
  }
  f.ready = true;
  WR_ASSERT(uv_loop_init(&f.loop) == 0 && wr_ctx_init(&f.ctx, &f.loop) == 0);
  wr_ctx_fake_clock(&f.ctx);
  f.ctx.wall_ms = wall_of_tests;
  pki_make(&p, &spec);
  static const char *const web[] = {"h2", "http/1.1"};
  wr_tls_server_options server = {
      .chain = p.cert_pem, .key = p.key_pem, .alpn = web, .n_alpn = 2};
  wr_tls_client_options client = {.roots = p.ca_pem};
  WR_ASSERT(wr_tls_server_new(&f.ctx, &server, &f.server_ctx, NULL) == 0);
  WR_ASSERT(wr_tls_client_new(&f.ctx, &client, &f.client_ctx, NULL) == 0);
  pki_free(&p);
  f.blocks = f.ctx.mem.live_blocks;
}

static void start_one(size_t who, const wr_tls_options *o) {
  wr_tls_ctx *t = who == 0 ? f.server_ctx : f.client_ctx;
  actor *x = &f.end[who];
  int err = wr_tls_start(f.raw[who], t, o, on_tls, x, &x->tls);
  WR_ASSERT(err == 0);
}

static void finish(void) {
  f.plan = 0;
  f.ctx.mem.fail_at = 0;
  for (size_t i = 0; i < 2; i++) {
    act_close(&f.end[i], 2);
  }
  wr_ctx_run_tasks(&f.ctx);
  wr_ctx_advance(&f.ctx, 200000);
  for (size_t i = 0; i < 2; i++) {
    WR_ASSERT(f.end[i].link == NULL && f.end[i].tls == NULL);
  }
  WR_ASSERT(f.ctx.mem.live_blocks == f.blocks);
}

static void run_operations(bool rekey) {
  wr_tls_options o = {.server_name = "a.test",
                      .rekey_bytes = rekey ? 20000 : 0};
  WR_ASSERT(wr_mempair_new(&f.ctx, 9000, &f.raw[0], &f.raw[1]) == 0);
  start_one(0, &o);
  start_one(1, &o);
  while (f.size > 0) {
    f.size--;
    operate(*f.data++);
  }
  finish();
  WR_ASSERT(f.end[0].n_cb == 1 && f.end[1].n_cb == 1);
}

/* Feeds the server, in pieces. */
static void run_bytes(bool detect_plain) {
  wr_tls_options o = {.detect_plain = detect_plain};
  size_t piece = f.size > 0 ? (size_t)f.data[0] * 8 + 1 : 1;
  WR_ASSERT(wr_mempair_new(&f.ctx, 65536, &f.raw[0], &f.raw[1]) == 0);
  start_one(0, &o);
  wr_link *far = f.raw[1];
  actor *x = &f.end[1];
  x->link = far;
  far->user = x;
  far->handler = &handler;
  forget_raw();
  for (size_t at = 1; at < f.size && x->link != NULL; at += piece) {
    size_t taken;
    size_t len = WR_MIN(piece, f.size - at);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)(f.data + at), (unsigned)len);
    if (wr_link_write(far, &buf, 1, &taken) != 0 || taken < len) {
      break;
    }
    wr_ctx_run_tasks(&f.ctx);
  }
  finish();
  WR_ASSERT(f.end[0].n_cb == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  set_up();
  if (size == 0) {
    return 0;
  }
  f.data = data + 1;
  f.size = size - 1;
  f.plan = 0;
  memset(f.end, 0, sizeof(f.end));
  bool flag = (data[0] & 2) != 0;
  if ((data[0] & 1) != 0) {
    run_operations(flag);
  } else {
    run_bytes(flag);
  }
  return 0;
}
