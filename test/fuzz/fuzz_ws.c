/* A WebSocket link over a memory pair whose other end says what the fuzzer says,
   in either role, in pieces, while the owner takes little at a time, stops, writes
   and closes. What the owner reads is what a decoder finds in the whole. The first
   four bytes are the role, the pieces, the takes and what the owner does. */

#include <string.h>

#include "base/errors.h"
#include "net/mempair.h"
#include "net/ws.h"
#include "net/ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 4096
#define FRAME_MAX 1000

static struct {
  wr_ctx ctx;
  uv_loop_t loop;
  bool ready;
  wr_link *link; /* NULL once closed */
  wr_link *raw;
  uint8_t want[INPUT_MAX]; /* payload of the input */
  size_t want_len;
  bool want_eof;
  bool want_failure; /* a Close that tells of one */
  size_t got;
  size_t max_take;
  int closes;
  int status; /* the last on_close's */
  bool eof;
} f;

static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  WR_UNUSED(link);
  size_t take = f.max_take != 0 ? WR_MIN(len, f.max_take) : len;
  WR_ASSERT(len > 0 && !f.eof);
  WR_ASSERT(f.got + take <= f.want_len);
  WR_ASSERT(memcmp(data, f.want + f.got, take) == 0);
  f.got += take;
  memset(data, 0, take);
  return take;
}

static void on_eof(wr_link *link) {
  WR_UNUSED(link);
  WR_ASSERT(!f.eof && f.want_eof && f.got == f.want_len);
  f.eof = true;
}

static void on_writable(wr_link *link) {
  WR_UNUSED(link);
}

static void on_close(wr_link *link, int status) {
  WR_UNUSED(link);
  f.status = status;
  f.closes++;
  f.link = NULL;
}

static const wr_link_handler handler = {.on_read = on_read,
                                        .on_eof = on_eof,
                                        .on_writable = on_writable,
                                        .on_close = on_close};

static size_t raw_read(wr_link *link, uint8_t *data, size_t len) {
  WR_UNUSED(link);
  WR_UNUSED(data);
  return len;
}

static void raw_eof(wr_link *link) {
  WR_UNUSED(link);
}

static void raw_close(wr_link *link, int status) {
  WR_UNUSED(link);
  WR_UNUSED(status);
  f.raw = NULL;
}

static const wr_link_handler raw_handler = {
    .on_read = raw_read, .on_eof = raw_eof, .on_close = raw_close};

/* What all of the input says, byte by byte. */
static void expect(wr_ws_role role, const uint8_t *data, size_t size) {
  wr_ws_decoder d;
  f.want_len = 0;
  f.want_eof = false;
  f.want_failure = false;
  wr_ws_decoder_init(&d, role == WR_WS_SERVER, FRAME_MAX);
  for (size_t i = 0; i < size; i++) {
    uint8_t byte = data[i];
    wr_slice payload;
    size_t taken;
    wr_ws_event event = wr_ws_decode(&d, &byte, 1, &taken, &payload);
    WR_ASSERT(taken == 1 || event == WR_WS_BAD);
    if (event == WR_WS_DATA) {
      f.want[f.want_len++] = byte;
    } else if (event == WR_WS_CLOSE) {
      f.want_failure = d.close_code > 1001 && d.close_code < 3000;
      f.want_eof = !f.want_failure;
      return;
    } else if (event == WR_WS_BAD) {
      return;
    }
  }
}

static void open_links(wr_ws_role role, size_t capacity) {
  const wr_ws_opts opts = {.role = role, .max_frame = FRAME_MAX, .ping_ms = 50};
  wr_link *inner;
  if (!f.ready) {
    WR_ASSERT(uv_loop_init(&f.loop) == 0);
    WR_ASSERT(wr_ctx_init(&f.ctx, &f.loop) == 0);
    wr_ctx_fake_clock(&f.ctx);
    f.ready = true;
  }
  WR_ASSERT(wr_mempair_new(&f.ctx, capacity, &inner, &f.raw) == 0);
  f.raw->handler = &raw_handler;
  WR_ASSERT(wr_link_read_start(f.raw) == 0);
  WR_ASSERT(wr_ws_new(inner, &opts, (wr_slice){NULL, 0}, &f.link) == 0);
  f.link->handler = &handler;
  f.got = 0;
  f.closes = 0;
  f.eof = false;
}

static void act(unsigned op) {
  char bytes[300] = "x";
  size_t taken;
  uv_buf_t buf = uv_buf_init(bytes, sizeof(bytes));
  if (f.link == NULL) {
    return;
  }
  switch (op & 7) {
  case 0:
    wr_link_read_stop(f.link);
    break;
  case 1:
    (void)wr_link_write(f.link, &buf, 1, &taken);
    break;
  case 2:
    wr_link_shutdown(f.link);
    break;
  case 3:
    wr_link_close(f.link, WR_CLOSE_ORDERLY);
    break;
  case 4:
    wr_ctx_advance(&f.ctx, 60);
    break;
  default:
    break;
  }
}

static void go_on(void) {
  if (f.link != NULL) {
    wr_link_read_start(f.link);
  }
  wr_ctx_run_tasks(&f.ctx);
}

static void say(const uint8_t *data, size_t size, size_t piece, unsigned plan) {
  size_t idle = 0; /* after its Close nobody reads what the raw end says */
  for (size_t at = 0; at < size && f.raw != NULL && idle < 8;) {
    size_t taken = 0;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)(data + at),
                               (unsigned)WR_MIN(piece, size - at));
    if (wr_link_write(f.raw, &buf, 1, &taken) != 0) {
      return;
    }
    at += taken;
    idle = taken > 0 ? 0 : idle + 1;
    go_on();
    if (at % 7 == plan >> 5) {
      act(plan);
    }
  }
}

/* An owner that only reads gets all that was said, and learns how it ended. */
static void check_end(unsigned plan) {
  if ((plan & 7) < 5) {
    return;
  }
  WR_ASSERT(f.got == f.want_len && f.eof == f.want_eof);
  WR_ASSERT(!f.want_failure || (f.link == NULL && f.status == WR_EPEER_CLOSED));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 4 || size > INPUT_MAX) {
    return 0;
  }
  wr_ws_role role = data[0] % 2 == 0 ? WR_WS_CLIENT : WR_WS_SERVER;
  size_t piece = 1 + data[1];
  unsigned plan = data[3];
  f.max_take = data[2] % 8;
  open_links(role, 1 + data[1] / 2);
  size_t blocks = 2; /* of the context: its scratch memory and its resolver */
  expect(role, data + 4, size - 4);
  say(data + 4, size - 4, piece, plan);
  for (size_t i = 0; i < INPUT_MAX && f.link != NULL && f.got < f.want_len;
       i++) {
    go_on();
  }
  check_end(plan);
  if (f.raw != NULL) {
    wr_link_close(f.raw, WR_CLOSE_ORDERLY);
  }
  wr_ctx_run_tasks(&f.ctx);
  if (f.link != NULL) {
    wr_link_close(f.link, WR_CLOSE_ORDERLY);
  }
  wr_ctx_advance(&f.ctx, WR_WS_LINGER_MS + WR_WS_ANSWER_MS);
  WR_ASSERT(f.closes == 1 && f.raw == NULL);
  WR_ASSERT(f.ctx.mem.live_blocks == blocks);
  return 0;
}
