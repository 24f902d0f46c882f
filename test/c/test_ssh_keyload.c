/* Private keys decrypted on libuv's pool. */
#include "base/errors.h"
#include "ssh/keyload.h"
#include "tap.h"

#define PASS "correct horse"

static uv_loop_t loop;
static wr_ctx ctx;
static wr_mem mem; /* of the test itself */
static int closed;
static char plain[4096];
static char sealed[4096];
static uint8_t blobs[2][51];

/* What a callback got. */
typedef struct result {
  int calls;
  int status;
  wr_key *key;
  int cancel; /* in the callback: cancel this one */
  wr_keyload *other;
  int close; /* in the callback: begin the teardown */
} result;

static void on_closed(wr_ctx *c) {
  CHECK(c == &ctx);
  closed++;
}

static void make(char *dst, const char *pass, uint8_t blob[51]) {
  wr_key *key = NULL;
  wr_buf out;
  wr_buf_init(&out, &mem, sizeof(plain));
  MUST(wr_key_generate(&mem, &key) == 0);
  MUST(wr_key_write_private(key, "c", pass, &out) == 0);
  memcpy(dst, out.data, out.len);
  dst[out.len] = '\0';
  memcpy(blob, wr_key_blob(key).data, 51);
  wr_buf_wipe(&out);
  wr_key_unref(key);
}

static void set_up(void) {
  wr_mem_init(&mem);
  if (plain[0] == '\0') {
    make(plain, NULL, blobs[0]);
    make(sealed, PASS, blobs[1]);
  }
  closed = 0;
  MUST(uv_loop_init(&loop) == 0);
  MUST(wr_ctx_init(&ctx, &loop) == 0);
}

static void tear_down(void) {
  if (!ctx.exiting) {
    wr_ctx_close(&ctx, on_closed);
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  EQ_INT(closed, 1);
  EQ_INT(uv_loop_close(&loop), 0);
  EQ_UINT(ctx.uv_reqs, 0);
  EQ_UINT(ctx.mem.live_blocks, 0);
  EQ_UINT(mem.live_blocks, 0);
}

static void on_key(void *user, int status, wr_key *key) {
  result *r = user;
  r->calls++;
  r->status = status;
  r->key = key;
  CHECK((status == 0) == (key != NULL));
  if (r->cancel) {
    wr_keyload_cancel(r->other);
  }
  if (r->close) {
    wr_key_unref(key);
    r->key = NULL;
    wr_ctx_close(&ctx, on_closed);
  }
}

static wr_keyload *start(result *r, const char *text, const char *pass) {
  wr_keyload *load = NULL;
  /* The input may go at once. */
  size_t n = strlen(text);
  char *copy = malloc(n);
  char pass_copy[32] = "";
  MUST(copy != NULL);
  memcpy(copy, text, n);
  snprintf(pass_copy, sizeof(pass_copy), "%s", pass == NULL ? "" : pass);
  EQ_INT(wr_keyload_start(&ctx, copy, n, pass == NULL ? NULL : pass_copy,
                          on_key, r, &load),
         0);
  memset(copy, 'x', n);
  memset(pass_copy, 'x', sizeof(pass_copy));
  free(copy);
  EQ_INT(r->calls, 0);
  return load;
}

static void check_key(result *r, const uint8_t blob[51]) {
  EQ_INT(r->calls, 1);
  EQ_INT(r->status, 0);
  if (r->key != NULL) {
    wr_slice b = wr_key_blob(r->key);
    EQ_MEM(b.data, b.len, blob, 51);
    wr_key_unref(r->key);
  }
}

TEST(keys_are_loaded) {
  result a = {0};
  result b = {0};
  start(&a, plain, NULL);
  start(&b, sealed, PASS);
  uv_run(&loop, UV_RUN_DEFAULT);
  check_key(&a, blobs[0]);
  check_key(&b, blobs[1]);
}

TEST(errors_arrive_later) {
  result a = {0};
  result b = {0};
  result c = {0};
  start(&a, "nonsense", NULL);
  start(&b, sealed, NULL);
  start(&c, sealed, "wrong");
  uv_run(&loop, UV_RUN_DEFAULT);
  EQ_INT(a.calls, 1);
  EQ_INT(a.status, WR_EKEY_FORMAT);
  EQ_INT(b.status, WR_EKEY_PASSPHRASE);
  EQ_INT(c.status, WR_EKEY_PASSPHRASE);
}

TEST(a_file_of_the_wrong_size_is_refused_at_once) {
  static char big[WR_KEY_FILE_MAX + 1];
  wr_keyload *load = NULL;
  EQ_INT(wr_keyload_start(&ctx, big, sizeof(big), NULL, on_key, NULL, &load),
         WR_EKEY_FORMAT);
  EQ_INT(wr_keyload_start(&ctx, "", 0, NULL, on_key, NULL, &load),
         WR_EKEY_FORMAT);
  CHECK(load == NULL);
}

TEST(a_cancelled_load_never_calls_back) {
  enum { COUNT = 12 };
  result r[COUNT] = {{0}};
  wr_keyload *loads[COUNT];
  for (int i = 0; i < COUNT; i++) {
    loads[i] = start(&r[i], sealed, PASS);
  }
  for (int i = 0; i < COUNT; i += 2) {
    wr_keyload_cancel(loads[i]);
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  for (int i = 0; i < COUNT; i++) {
    if (i % 2 == 0) {
      EQ_INT(r[i].calls, 0);
    } else {
      check_key(&r[i], blobs[1]);
    }
  }
}

TEST(cancelling_from_a_callback) {
  result a = {.cancel = 1};
  result b = {0};
  start(&a, plain, NULL);
  a.other = start(&b, sealed, PASS);
  uv_run(&loop, UV_RUN_DEFAULT);
  check_key(&a, blobs[0]);
  EQ_INT(b.calls, 0);
}

TEST(teardown_with_loads_under_way_calls_nobody) {
  result r[10] = {{0}};
  wr_keyload *load = NULL;
  for (int i = 0; i < 10; i++) {
    start(&r[i], i % 2 ? sealed : plain, PASS);
  }
  wr_ctx_close(&ctx, on_closed);
  EQ_INT(
      wr_keyload_start(&ctx, plain, strlen(plain), NULL, on_key, NULL, &load),
      WR_ECANCELED);
  uv_run(&loop, UV_RUN_DEFAULT);
  EQ_INT(closed, 1);
  for (int i = 0; i < 10; i++) {
    EQ_INT(r[i].calls, 0);
  }
}

TEST(teardown_from_the_callback) {
  result a = {.close = 1};
  result b = {0};
  start(&a, plain, NULL);
  start(&b, sealed, PASS);
  uv_run(&loop, UV_RUN_DEFAULT);
  EQ_INT(a.calls, 1);
  EQ_INT(b.calls, 0);
  EQ_INT(closed, 1);
}

TEST(running_out_of_memory_is_reported) {
  size_t before = ctx.mem.live_blocks;
  for (uint64_t at = 1; at < 20; at++) {
    result a = {0};
    wr_keyload *load = NULL;
    ctx.mem.fail_at = ctx.mem.total + at;
    int err =
        wr_keyload_start(&ctx, plain, strlen(plain), "p", on_key, &a, &load);
    uv_run(&loop, UV_RUN_DEFAULT);
    ctx.mem.fail_at = 0;
    EQ_INT(a.calls, err == 0 ? 1 : 0);
    if (err == 0 && a.status == 0) {
      wr_key_unref(a.key);
      CHECK(at > 4);
      break;
    }
    EQ_INT(err == 0 ? a.status : err, WR_ENOMEM);
    EQ_UINT(ctx.mem.live_blocks, before);
  }
}

TAP_MAIN_WITH(set_up, tear_down)
