/* Random operations over memory pairs and a splice, with fixed seeds: the fuzz
   target of the same kind, for machines without a fuzzer. */
#include "tap.h"

#include "../fuzz/fuzz_link.c"

static uint32_t seed;

static uint32_t next(void) {
  seed = seed * 1664525 + 1013904223;
  return seed >> 8;
}

/* harmless: nothing is closed, cut or starved, so that all must arrive. */
static void run(size_t rounds, bool harmless) {
  static uint8_t ops[600];
  for (size_t i = 0; i < rounds; i++) {
    size_t len = next() % sizeof(ops);
    for (size_t k = 0; k < len; k++) {
      do {
        ops[k] = (uint8_t)next();
      } while (harmless && (ops[k] & 15) >= 7 && (ops[k] & 15) <= 9);
    }
    LLVMFuzzerTestOneInput(ops, len);
    if (harmless) {
      CHECK(!f.broken);
    }
  }
}

TEST(nothing_is_lost) {
  seed = 1;
  run(3000, true);
}

TEST(closing_cutting_and_starving_break_nothing) {
  seed = 2;
  run(6000, false);
}

static bool gone;
static void on_gone(wr_ctx *ctx) {
  WR_UNUSED(ctx);
  gone = true;
}

TEST(context_closes_clean) {
  MUST(f.ready);
  wr_ctx_close(&f.ctx, on_gone);
  uv_run(&f.loop, UV_RUN_DEFAULT);
  CHECK(gone);
  EQ_INT(uv_loop_close(&f.loop), 0);
}

TAP_MAIN()
