/* The first byte chooses. Even: the rest are bytes for a TLS server, in pieces of
   a length that the second one says. Odd: a TLS client and a server over a
   memory pair, and each further byte is an operation at one end or a fault,
   inside callbacks too. Whatever happens, the bytes that arrive are those that
   were sent, each handshake calls back once, every link closes once, and no
   memory is left. */

#include "link_ends.h"
#include "tls_help.h"

/* One run, of which the first end is the server's. What is above `tls` outlives
   it. */
static struct {
  wr_ctx ctx;
  uv_loop_t loop;
  bool ready;
  wr_tls_ctx *server_ctx;
  wr_tls_ctx *client_ctx;
  size_t blocks;
  wr_tls *tls[2]; /* while the callback is owed */
  int n_cb[2];
  wr_link *raw[2];
} f;

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

static void on_tls(void *user, int status, wr_link *link) {
  actor *x = user;
  f.n_cb[who_of(x)]++;
  f.tls[who_of(x)] = NULL;
  WR_ASSERT(status == 0 || status == WR_ETLS_PLAIN || link == NULL);
  if (link != NULL) {
    act_own(x, link);
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

static void act_fault(unsigned which, unsigned kind) {
  static const wr_mempair_faults kinds[4] = {
      {0},
      {.max_write = 300, .max_read = 500},
      {.stalled = true},
      {.delay_ms = 9}};
  if (f.raw[which & 1] != NULL && !input.in_callback) {
    wr_mempair_set_faults(f.raw[which & 1], &kinds[kind & 3]);
  }
}

static void leave_raw(void) {
  act_fault(0, 0);
  act_fault(1, 0);
  forget_raw();
}

static void act_leave(size_t who, unsigned arg) {
  leave_raw();
  act_close(&ends[who], (arg & 2) != 0 ? WR_CLOSE_RESET : WR_CLOSE_ORDERLY);
  if (f.tls[who] != NULL) {
    wr_tls_cancel(f.tls[who]);
    f.tls[who] = NULL;
    f.n_cb[who]++; /* it will not come */
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
  if (input.in_callback) {
    return;
  }
  if (arg == 0) {
    wr_ctx_run_tasks(&f.ctx);
  } else {
    wr_ctx_advance(&f.ctx, (uint64_t)arg * arg * arg);
  }
}

static void operate(uint8_t op) {
  unsigned arg = op >> 4;
  actor *x = &ends[arg & 1];
  switch (op & 15) {
  case 0:
  case 1:
    act_write(&ends[op & 1], (size_t)arg * arg * arg * 20 + 1);
    break;
  case 2:
  case 3:
    act_read(x, (op & 15) == 2);
    break;
  case 4:
    act_shutdown(x);
    break;
  case 5:
    x->max_take = (size_t)(arg >> 1) * 100;
    break;
  case 6:
    act_fault(arg, arg >> 1);
    break;
  case 7:
    act_leave(arg & 1, arg);
    break;
  case 8:
    act_cut(arg);
    break;
  case 9:
    leave_raw();
    f.ctx.mem.fail_at = f.ctx.mem.total + 1 + arg;
    break;
  case 10:
    input.plan += arg;
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
  int err = wr_tls_start(f.raw[who], t, o, on_tls, &ends[who], &f.tls[who]);
  WR_ASSERT(err == 0);
}

static void finish(void) {
  input.plan = 0;
  f.ctx.mem.fail_at = 0;
  for (size_t i = 0; i < 2; i++) {
    act_leave(i, 2);
  }
  wr_ctx_run_tasks(&f.ctx);
  wr_ctx_advance(&f.ctx, 200000);
  for (size_t i = 0; i < 2; i++) {
    WR_ASSERT(ends[i].link == NULL && f.tls[i] == NULL);
  }
  WR_ASSERT(f.ctx.mem.live_blocks == f.blocks);
}

static void run_operations(bool rekey) {
  wr_tls_options o = {.server_name = "a.test",
                      .rekey_bytes = rekey ? 20000 : 0};
  WR_ASSERT(wr_mempair_new(&f.ctx, 9000, &f.raw[0], &f.raw[1]) == 0);
  start_one(0, &o);
  start_one(1, &o);
  while (input.size > 0) {
    input_next();
  }
  finish();
  WR_ASSERT(f.n_cb[0] == 1 && f.n_cb[1] == 1);
}

/* Feeds the server, in pieces. */
static void run_bytes(bool detect_plain) {
  wr_tls_options o = {.detect_plain = detect_plain};
  size_t piece = input.size > 0 ? (size_t)input.data[0] * 8 + 1 : 1;
  WR_ASSERT(wr_mempair_new(&f.ctx, 65536, &f.raw[0], &f.raw[1]) == 0);
  start_one(0, &o);
  wr_link *far = f.raw[1];
  act_own(&ends[1], far);
  forget_raw();
  for (size_t at = 1; at < input.size && ends[1].link != NULL; at += piece) {
    size_t taken;
    size_t len = WR_MIN(piece, input.size - at);
    uv_buf_t buf =
        uv_buf_init((char *)(uintptr_t)(input.data + at), (unsigned)len);
    if (wr_link_write(far, &buf, 1, &taken) != 0 || taken < len) {
      break;
    }
    wr_ctx_run_tasks(&f.ctx);
  }
  finish();
  WR_ASSERT(f.n_cb[0] == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  set_up();
  if (size == 0) {
    return 0;
  }
  ends_start(data + 1, size - 1);
  memset(f.n_cb, 0, sizeof(f.n_cb));
  bool flag = (data[0] & 2) != 0;
  if ((data[0] & 1) != 0) {
    run_operations(flag);
  } else {
    run_bytes(flag);
  }
  return 0;
}
