#include "ssh/keyload.h"

#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"

struct wr_keyload {
  wr_ctx *ctx;
  wr_obj obj;
  uv_work_t work;
  wr_keyload_cb cb; /* NULL once cancelled, also by teardown */
  void *user;

  /* The pool's thread has these between on_work and on_after_work. */
  char *text;
  size_t len;
  char *passphrase; /* may be NULL */
  int status;
  uint8_t seed[WR__SEED_SIZE];
};

/* ctx->mem belongs to the loop's thread; memory is counted here on its own. */
static void on_work(uv_work_t *work) {
  wr_keyload *load = wr_container_of(work, wr_keyload, work);
  wr_mem mem;
  wr_mem_init(&mem);
  load->status = wr__key_read_seed(&mem, load->text, load->len,
                                   load->passphrase, load->seed);
  WR_ASSERT(mem.live_blocks == 0);
}

/* Wipes all of it. */
static void load_free(wr_keyload *load) {
  wr_mem *mem = &load->ctx->mem;
  wr_free_secret(mem, load->text, load->len);
  wr_free_secret(mem, load->passphrase,
                 load->passphrase == NULL ? 0 : strlen(load->passphrase));
  wr_free_secret(mem, load, sizeof(*load));
}

static void on_after_work(uv_work_t *work, int status) {
  wr_keyload *load = wr_container_of(work, wr_keyload, work);
  wr_ctx *ctx = load->ctx;
  wr_keyload_cb cb = load->cb;
  void *user = load->user;
  wr_key *key = NULL;
  wr_ctx_remove_object(&load->obj);
  int err = status != 0 ? WR_ECANCELED : load->status;
  if (err == 0 && cb != NULL) {
    err = wr__key_from_seed(&ctx->mem, load->seed, &key);
  }
  load_free(load);
  /* Before the callback, which may begin the teardown; at the end of it the
     context may be gone. */
  if (cb != NULL) {
    cb(user, err, key);
  }
  wr_ctx_req_done(ctx);
}

/* Work that is under way runs to its end; its result is dropped. */
void wr_keyload_cancel(wr_keyload *load) {
  load->cb = NULL;
  (void)uv_cancel((uv_req_t *)&load->work);
}

static void on_shutdown(wr_obj *obj) {
  wr_keyload_cancel(wr_container_of(obj, wr_keyload, obj));
}

static int copy_input(wr_keyload *load, const void *text, size_t len,
                      const char *passphrase) {
  wr_mem *mem = &load->ctx->mem;
  load->text = wr_alloc(mem, len);
  if (load->text == NULL) {
    return WR_ENOMEM;
  }
  memcpy(load->text, text, len);
  load->len = len;
  if (passphrase != NULL) {
    load->passphrase = wr_strdup(mem, passphrase);
    if (load->passphrase == NULL) {
      return WR_ENOMEM;
    }
  }
  return 0;
}

int wr_keyload_start(wr_ctx *ctx, const void *text, size_t len,
                     const char *passphrase, wr_keyload_cb cb, void *user,
                     wr_keyload **out) {
  if (ctx->exiting) {
    return WR_ECANCELED;
  }
  if (len == 0 || len > WR_KEY_FILE_MAX) {
    return WR_EKEY_FORMAT;
  }
  wr_keyload *load = wr_calloc(&ctx->mem, 1, sizeof(*load));
  if (load == NULL) {
    return WR_ENOMEM;
  }
  load->ctx = ctx;
  load->cb = cb;
  load->user = user;
  load->obj.shutdown = on_shutdown;
  int err = copy_input(load, text, len, passphrase);
  if (err == 0) {
    err = uv_queue_work(ctx->loop, &load->work, on_work, on_after_work);
  }
  if (err != 0) {
    load_free(load);
    return err;
  }
  wr_ctx_add_object(ctx, &load->obj);
  wr_ctx_req_started(ctx);
  *out = load;
  return 0;
}
