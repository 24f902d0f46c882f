#ifndef WR_TEST_FUZZ_SSH_RAW_H
#define WR_TEST_FUZZ_SSH_RAW_H

/* A session over an in-memory pair whose other end says what the fuzzer says. */

#include <string.h>

#include "net/mempair.h"
#include "ssh/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct raw_env {
  uv_loop_t loop;
  wr_ctx ctx;
  wr_key *key;
  bool ready;
  int closes;
} raw_env;

static size_t raw_read(wr_link *link, uint8_t *data, size_t len) {
  WR_UNUSED(link);
  WR_UNUSED(data);
  return len;
}

static void raw_eof(wr_link *link) {
  WR_UNUSED(link);
}

static void raw_closed(wr_link *link, int status) {
  WR_UNUSED(status);
  *(wr_link **)link->user = NULL;
}

static const wr_link_handler raw_handler = {
    .on_read = raw_read, .on_eof = raw_eof, .on_close = raw_closed};

static void ssh_host_key(wr_ssh *s, wr_slice blob) {
  WR_UNUSED(blob);
  wr_ssh_host_key_verdict(s, 0);
}

static void ssh_auth(wr_ssh *s, const wr_auth_offer *offer) {
  WR_UNUSED(offer);
  wr_ssh_auth_reply(s, true);
}

static void ssh_ready(wr_ssh *s) {
  WR_UNUSED(s);
}

static void ssh_closed(wr_ssh *s, int status) {
  WR_UNUSED(status);
  raw_env *e = wr_ssh_user(s);
  e->closes++;
}

static const wr_ssh_handler ssh_handler = {.on_host_key = ssh_host_key,
                                           .on_auth = ssh_auth,
                                           .on_ready = ssh_ready,
                                           .on_close = ssh_closed};

static void raw_env_open(raw_env *e) {
  if (e->ready) {
    return;
  }
  WR_ASSERT(uv_loop_init(&e->loop) == 0);
  WR_ASSERT(wr_ctx_init(&e->ctx, &e->loop) == 0);
  wr_ctx_fake_clock(&e->ctx);
  WR_ASSERT(wr_key_generate(&e->ctx.mem, &e->key) == 0);
  e->ready = true;
}

/* Says the input in pieces of `piece` bytes, then cuts the wire. */
static void raw_run(raw_env *e, wr_ssh_role role, const uint8_t *data,
                    size_t size, size_t piece) {
  raw_env_open(e);
  size_t blocks = e->ctx.mem.live_blocks;
  wr_link *ours = NULL;
  wr_link *theirs = NULL;
  WR_ASSERT(wr_mempair_new(&e->ctx, 1 << 20, &ours, &theirs) == 0);
  theirs->handler = &raw_handler;
  theirs->user = &theirs;
  WR_ASSERT(wr_link_read_start(theirs) == 0);
  wr_identity identity = {.key = e->key};
  wr_ssh_opts opts = {.role = role,
                      .handler = &ssh_handler,
                      .user = e,
                      .host_key = e->key,
                      .login = "u",
                      .identities = &identity,
                      .n_identities = 1};
  wr_ssh *s = NULL;
  int closes = e->closes;
  WR_ASSERT(wr_ssh_start(&e->ctx, ours, &opts, &s) == 0);
  for (size_t at = 0; at < size && theirs != NULL; at += piece) {
    size_t taken = 0;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)(data + at),
                               (unsigned)WR_MIN(piece, size - at));
    if (wr_link_write(theirs, &buf, 1, &taken) != 0) {
      break;
    }
    wr_ctx_run_tasks(&e->ctx);
  }
  if (theirs != NULL) {
    wr_link_close(theirs, WR_CLOSE_ORDERLY);
  }
  wr_ctx_run_tasks(&e->ctx);
  wr_ctx_advance(&e->ctx, 100000);
  WR_ASSERT(e->closes == closes + 1);
  WR_ASSERT(e->ctx.mem.live_blocks == blocks);
}

#endif /* !defined(WR_TEST_FUZZ_SSH_RAW_H) */
