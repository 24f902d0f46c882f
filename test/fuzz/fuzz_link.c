/* Two memory pairs with a splice between them: each byte of the input is an
   operation at one end, or a fault, and callbacks take operations from the
   input as well, which aims at re-entrancy. Whatever happens, the bytes that
   arrive are those that were sent, every link closes once, and no memory is
   left. If nothing was broken on purpose, nothing is lost. */

#include "link_ends.h"

#include "base/errors.h"
#include "loop/ctx.h"
#include "net/splice.h"

/* One run. The context outlives it, as setting up a loop is slow. */
static struct {
  wr_ctx ctx;
  uv_loop_t loop;
  bool ready;
  wr_link *half[4]; /* both pairs, in line; NULL once closed or unknown */
  wr_splice *splice;
  int n_done;
  int status;
  bool broken; /* something was closed, cut or starved on purpose */
} f;

static void on_close(wr_link *link, int status) {
  actor *x = link->user;
  WR_UNUSED(status);
  WR_ASSERT(x->link != NULL);
  x->link = NULL;
  f.half[who_of(x) == 0 ? 0 : 3] = NULL;
  interfere();
}

static void on_splice(void *user, int status, uint64_t ab, uint64_t ba) {
  WR_ASSERT(user == &f);
  WR_ASSERT(ab >= ends[1].got && ba >= ends[0].got);
  f.n_done++;
  f.status = status;
  f.splice = NULL;
  f.half[1] = NULL;
  f.half[2] = NULL;
  interfere();
}

/* From here on the splice's links may go at any time, so their faults are
   cleared and they are left alone. */
static void break_it(void) {
  static const wr_mempair_faults none = {0};
  for (size_t i = 1; i <= 2; i++) {
    if (f.half[i] != NULL && !input.in_callback) {
      wr_mempair_set_faults(f.half[i], &none);
    }
    f.half[i] = NULL;
  }
  f.broken = true;
}

static void act_cut(unsigned arg) {
  wr_link *link = f.half[(arg & 1) != 0 ? 3 : 0];
  break_it();
  if (link != NULL) {
    wr_mempair_cut(link, (arg & 2) != 0 ? UV_ECONNRESET : 0);
  }
}

static void act_fault(unsigned which, unsigned kind) {
  static const wr_mempair_faults kinds[4] = {
      {0}, {.max_write = 3, .max_read = 5}, {.stalled = true}, {.delay_ms = 9}};
  which &= 3;
  /* The splice closes its links one after the other. */
  if ((which == 1 || which == 2) && input.in_callback) {
    return;
  }
  if (f.half[which] != NULL) {
    wr_mempair_set_faults(f.half[which], &kinds[kind & 3]);
  }
}

static void act_rare(unsigned arg) {
  break_it();
  if (arg == 15) {
    if (f.splice != NULL) {
      wr_splice_abort(f.splice);
    }
    return;
  }
  f.ctx.mem.fail_at = f.ctx.mem.total + 1 + arg;
}

static void act_time(unsigned arg) {
  if (input.in_callback) {
    return;
  }
  if (arg == 0) {
    wr_ctx_run_tasks(&f.ctx);
  } else {
    wr_ctx_advance(&f.ctx, arg);
  }
}

static void operate(uint8_t op) {
  unsigned arg = op >> 4;
  actor *x = &ends[arg & 1];
  switch (op & 15) {
  case 0:
  case 1:
    act_write(&ends[op & 1], (size_t)arg * arg + 1);
    break;
  case 2:
  case 3:
    act_read(x, (op & 15) == 2);
    break;
  case 4:
    act_fault(arg, arg >> 2);
    break;
  case 5:
    x->max_take = arg >> 1;
    break;
  case 6:
    act_shutdown(x);
    break;
  case 7:
    break_it();
    act_close(x, (arg & 2) != 0 ? WR_CLOSE_RESET : WR_CLOSE_ORDERLY);
    break;
  case 8:
    act_cut(arg);
    break;
  case 9:
    act_rare(arg);
    break;
  case 10:
    input.plan += arg;
    break;
  default:
    act_time(arg);
    break;
  }
}

static void start_splice(wr_link *a, wr_link *b) {
  uint8_t early[16];
  wr_slice slice = {.data = early,
                    .len = input.size > 0 ? input.data[0] & 15 : 0};
  for (size_t i = 0; i < slice.len; i++) {
    early[i] = wave(0, i);
  }
  ends[0].sent = slice.len;
  int err = wr_splice_start(&f.ctx, a, b, slice, on_splice, &f, &f.splice);
  WR_ASSERT(err == 0);
}

static void start(const uint8_t *data, size_t size) {
  wr_link *half[4];
  if (!f.ready) {
    WR_ASSERT(uv_loop_init(&f.loop) == 0);
    WR_ASSERT(wr_ctx_init(&f.ctx, &f.loop) == 0);
    wr_ctx_fake_clock(&f.ctx);
    f.ready = true;
  }
  ends_start(data, size);
  f.n_done = 0;
  f.broken = false;
  f.ctx.mem.fail_at = 0;
  size_t cap = size > 1 ? 1 + data[1] % 64 : 16;
  WR_ASSERT(wr_mempair_new(&f.ctx, cap, &half[0], &half[1]) == 0);
  WR_ASSERT(wr_mempair_new(&f.ctx, 64 - cap + 1, &half[2], &half[3]) == 0);
  memcpy(f.half, half, sizeof(half));
  for (size_t i = 0; i < 2; i++) {
    act_own(&ends[i], half[3 * i]);
  }
  start_splice(half[1], half[2]);
}

/* Takes the faults away, ends both directions and lets everything arrive. */
static void drain(void) {
  input.plan = 0;
  input.size = 0;
  f.ctx.mem.fail_at = 0;
  for (unsigned i = 0; i < 4; i++) {
    act_fault(i, 0);
  }
  for (size_t i = 0; i < 2; i++) {
    act_shutdown(&ends[i]);
    ends[i].max_take = 0;
  }
  for (int round = 0; round < 50; round++) {
    for (size_t i = 0; i < 2; i++) {
      act_read(&ends[i], true);
    }
    wr_ctx_advance(&f.ctx, 100);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 4096) {
    return 0;
  }
  start(data, size);
  size_t blocks = 2; /* of the context: its scratch memory and its resolver */
  while (input.size > 0) {
    input_next();
  }
  drain();
  if (!f.broken) {
    WR_ASSERT(ends[0].eof && ends[1].eof);
    WR_ASSERT(ends[0].got == ends[1].sent && ends[1].got == ends[0].sent);
    WR_ASSERT(f.n_done == 1 && f.status == 0);
  }
  for (size_t i = 0; i < 2; i++) {
    act_close(&ends[i], WR_CLOSE_ORDERLY);
  }
  wr_ctx_advance(&f.ctx, 1000);
  WR_ASSERT(ends[0].link == NULL && ends[1].link == NULL);
  if (f.n_done == 0) { /* one that was cut in order may wait for the other */
    wr_splice_abort(f.splice);
    wr_ctx_run_tasks(&f.ctx);
  }
  WR_ASSERT(f.n_done == 1);
  WR_ASSERT(f.ctx.mem.live_blocks == blocks);
  return 0;
}
