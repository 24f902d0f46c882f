#include "napi/keys.h"

#include <string.h>

#include "napi/events.h"
#include "napi/methods.h"
#include "ssh/cert.h"
#include "ssh/keyload.h"

typedef struct wrn_key {
  wrn_object o;
  wr_key *key;
} wrn_key;

/* A key that is being read. */
typedef struct wrn_request {
  wrn_object o;
  wr_keyload *load;
} wrn_request;

static void free_key(wrn_object *o) {
  wr_key_unref(((wrn_key *)o)->key);
  wrn_object_free(o);
}

static void cancel_request(wrn_object *o) {
  wr_keyload_cancel(((wrn_request *)o)->load);
  wrn_object_free(o);
}

static const wrn_class key_class = {sizeof(wrn_key), free_key};
static const wrn_class request_class = {sizeof(wrn_request), cancel_request};

wr_key *wrn_key_get(wrn_env *env, uint32_t id) {
  const wrn_key *k = wrn_object_get(env, id, &key_class);
  return k == NULL ? NULL : k->key;
}

/* Takes the reference. 0: out of memory, it has been given back. */
static uint32_t add_key(wrn_env *env, wr_key *key) {
  wrn_key *k = wrn_object_new(env, &key_class);
  if (k == NULL) {
    wr_key_unref(key);
    return 0;
  }
  k->key = key;
  return k->o.id;
}

int wrn_blob_line(wr_mem *mem, wr_slice blob, wr_buf *out) {
  wr_buf_init(out, mem, WRN_LINE_MAX);
  int err = wr_key_write_public(blob, NULL, out);
  if (err == 0) {
    out->data[out->len - 1] = '\0'; /* was the line feed */
  }
  return err;
}

int wrn_blob_read(wr_mem *mem, const char *line, wr_buf *out) {
  wr_buf_init(out, mem, WRN_LINE_MAX);
  return wr_blob_parse_line(line, strlen(line), out);
}

/* READING */

static void put_key(wrn_env *env, wrn_json *json, wr_key *key) {
  wr_slice blob = wr_key_blob(key);
  char fingerprint[WR_FINGERPRINT_MAX];
  wr_buf line;
  uint32_t id = 0;
  int err = wrn_blob_line(&env->ctx.mem, blob, &line);
  if (err == 0) {
    id = add_key(env, wr_key_ref(key));
  }
  if (id == 0) {
    wrn_json_num(json, "status", err != 0 ? err : WR_ENOMEM);
  } else {
    wr_blob_fingerprint(blob, fingerprint);
    wrn_json_num(json, "status", 0);
    wrn_json_num(json, "key", id);
    wrn_json_bytes(json, "type", wr_blob_type(blob));
    wrn_json_str(json, "fingerprint", fingerprint);
    wrn_json_str(json, "publicKey", (const char *)line.data);
  }
  wr_buf_reset(&line);
}

static void on_loaded(void *user, int status, wr_key *key) {
  wrn_request *r = user;
  wrn_json json;
  wrn_json_begin(&json, &r->o.env->ctx.mem);
  if (status == 0) {
    put_key(r->o.env, &json, key);
    wr_key_unref(key);
  } else {
    wrn_json_num(&json, "status", status);
  }
  wrn_post_json(r->o.env, WRN_EV_KEY, r->o.id, &json);
  wrn_object_free(r);
}

int64_t wrn_key_parse(wrn_call *c) {
  wr_slice text = wrn_need_text(c, c->argv[0]);
  const char *passphrase = wrn_str(c, c->argv[1]);
  if (c->err != 0) {
    return c->err;
  }
  wrn_request *r = wrn_object_new(c->env, &request_class);
  if (r == NULL) {
    return WR_ENOMEM;
  }
  int err = wr_keyload_start(&c->env->ctx, text.data, text.len, passphrase,
                             on_loaded, r, &r->load);
  if (err != 0) {
    wrn_object_free(r);
    return err;
  }
  return r->o.id;
}

int64_t wrn_key_is_encrypted(wrn_call *c) {
  wr_slice text = wrn_need_text(c, c->argv[0]);
  return c->err != 0 ? c->err : wr_key_is_encrypted(text.data, text.len);
}

/* KEYS THAT ARE THERE */

int64_t wrn_key_generate(wrn_call *c) {
  wr_key *key;
  int err = wr_key_generate(&c->env->ctx.mem, &key);
  if (err != 0) {
    return err;
  }
  uint32_t id = add_key(c->env, key);
  if (id == 0) {
    return WR_ENOMEM;
  }
  return id;
}

static void put_blob(wrn_call *c, napi_value out, wr_slice blob) {
  char fingerprint[WR_FINGERPRINT_MAX];
  wr_blob_fingerprint(blob, fingerprint);
  wrn_put_slice(c, out, "type", wr_blob_type(blob));
  wrn_put_str(c, out, "fingerprint", fingerprint);
}

int64_t wrn_key_info(wrn_call *c) {
  const wrn_key *k = wrn_this(c, &key_class);
  wr_buf line;
  if (k == NULL) {
    return c->err;
  }
  wr_slice blob = wr_key_blob(k->key);
  int err = wrn_blob_line(&c->env->ctx.mem, blob, &line);
  if (err == 0) {
    c->result = wrn_object_value(c);
    put_blob(c, c->result, blob);
    wrn_put_str(c, c->result, "publicKey", (const char *)line.data);
  }
  wr_buf_reset(&line);
  return err;
}

int64_t wrn_key_export(wrn_call *c) {
  const char *comment = wrn_str(c, c->argv[1]);
  const char *passphrase = wrn_str(c, c->argv[2]);
  const wrn_key *k = wrn_this(c, &key_class);
  wr_buf private_key;
  wr_buf public_key;
  if (c->err != 0) {
    return c->err;
  }
  comment = comment == NULL ? "" : comment;
  wr_buf_init(&private_key, &c->env->ctx.mem, WR_KEY_FILE_MAX);
  wr_buf_init(&public_key, &c->env->ctx.mem, WRN_LINE_MAX);
  int err = wr_key_write_private(k->key, comment, passphrase, &private_key);
  if (err == 0) {
    err = wr_key_write_public(wr_key_blob(k->key), comment, &public_key);
  }
  if (err == 0) {
    c->result = wrn_object_value(c);
    wrn_put_buffer(c, c->result, "privateKey",
                   (wr_slice){private_key.data, private_key.len});
    wrn_put_slice(c, c->result, "publicKey",
                  (wr_slice){public_key.data, public_key.len});
  }
  wr_buf_wipe(&private_key);
  wr_buf_reset(&public_key);
  return err;
}

int64_t wrn_key_free(wrn_call *c) {
  wrn_key *k = wrn_this(c, &key_class);
  if (k != NULL) {
    free_key(&k->o);
  }
  return c->err;
}

int64_t wrn_public_key(wrn_call *c) {
  const char *line = wrn_need_str(c, c->argv[0]);
  wr_buf blob;
  if (c->err != 0) {
    return c->err;
  }
  int err = wrn_blob_read(&c->env->ctx.mem, line, &blob);
  if (err == 0) {
    wr_slice s = {blob.data, blob.len};
    c->result = wrn_object_value(c);
    put_blob(c, c->result, s);
    wrn_put_buffer(c, c->result, "blob", s);
  }
  wr_buf_reset(&blob);
  return err;
}

static int put_certificate(wrn_call *c, wr_slice blob) {
  wr_cert cert;
  wr_buf line;
  int err = wr_cert_parse(blob, &cert);
  if (err != 0) {
    return err;
  }
  err = wrn_blob_line(&c->env->ctx.mem, (wr_slice){cert.key, cert.key_len},
                      &line);
  if (err == 0) {
    c->result = wrn_object_value(c);
    put_blob(c, c->result, blob);
    wrn_put_buffer(c, c->result, "blob", blob);
    wrn_put_str(c, c->result, "publicKey", (const char *)line.data);
    wrn_put_bool(c, c->result, "user", cert.kind == WR_CERT_USER);
  }
  wr_buf_reset(&line);
  return err;
}

int64_t wrn_certificate(wrn_call *c) {
  wr_slice line = wrn_need_text(c, c->argv[0]);
  wr_buf blob;
  if (c->err != 0) {
    return c->err;
  }
  wr_buf_init(&blob, &c->env->ctx.mem, WR_CERT_BLOB_MAX);
  int err = wr_blob_parse_line((const char *)line.data, line.len, &blob);
  if (err == 0) {
    err = put_certificate(c, (wr_slice){blob.data, blob.len});
  }
  wr_buf_reset(&blob);
  return err;
}
