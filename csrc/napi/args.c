#include "napi/args.h"

#include <string.h>

/* Memory that ends with a call. It may hold a passphrase. */
typedef struct block {
  wr_list node;
  size_t len;
  _Alignas(16) char data[];
} block;

void *wrn_call_alloc(wrn_call *c, size_t n, size_t size) {
  if (size != 0 && n > (SIZE_MAX - sizeof(block)) / size) {
    wrn_fail(c, WR_ENOMEM);
    return NULL;
  }
  block *b = wr_calloc(&c->env->ctx.mem, 1, sizeof(*b) + n * size);
  if (b == NULL) {
    wrn_fail(c, WR_ENOMEM);
    return NULL;
  }
  b->len = sizeof(*b) + n * size;
  wr_list_push(&c->blocks, &b->node);
  return b->data;
}

static void free_blocks(wrn_call *c) {
  for (;;) {
    wr_list *node = wr_list_shift(&c->blocks);
    if (node == NULL) {
      return;
    }
    block *b = wr_container_of(node, block, node);
    wr_free_secret(&c->env->ctx.mem, b, b->len);
  }
}

static napi_value number(napi_env napi, int64_t value) {
  napi_value out = NULL;
  if (value >= INT32_MIN && value <= INT32_MAX) {
    (void)napi_create_int32(napi, (int32_t)value, &out);
  } else {
    (void)napi_create_int64(napi, value, &out);
  }
  return out;
}

static napi_value run(wrn_call *c, wrn_method method) {
  wr_list_init(&c->blocks);
  int64_t value = method(c);
  free_blocks(c);
  /* A method that has failed has no other result. */
  if (c->result != NULL && c->err == 0) {
    return c->result;
  }
  return number(c->napi, c->err != 0 ? c->err : value);
}

napi_value wrn_call_run(napi_env napi, napi_callback_info info) {
  wrn_call c = {.napi = napi};
  size_t argc = WRN_ARGS_MAX;
  void *data = NULL;
  void *env = NULL;
  if (napi_get_cb_info(napi, info, &argc, c.argv, NULL, &data) != napi_ok ||
      napi_get_instance_data(napi, &env) != napi_ok) {
    return NULL;
  }
  c.env = env;
  if (env == NULL || c.env->ctx.exiting) {
    return number(napi, WR_ECLOSED);
  }
  const wrn_method_entry *entry = data;
  return run(&c, entry->run);
}

int wrn_fail(wrn_call *c, int err) {
  if (c->err == 0) {
    c->err = err;
  }
  return c->err;
}

/* Notes a napi call that did not work: a wrong type, a getter that has thrown
   (the exception then goes on to the caller), a worker that is being ended. */
static bool ok(wrn_call *c, napi_status status) {
  if (status != napi_ok) {
    wrn_fail(c, WR_EINVAL);
  }
  return status == napi_ok;
}

static napi_valuetype type_of(wrn_call *c, napi_value v) {
  napi_valuetype type = napi_undefined;
  if (c->err == 0 && v != NULL) {
    ok(c, napi_typeof(c->napi, v, &type));
  }
  return type;
}

bool wrn_is_absent(wrn_call *c, napi_value v) {
  napi_valuetype type = type_of(c, v);
  return type == napi_undefined || type == napi_null;
}

void wrn_need(wrn_call *c, napi_value v) {
  if (wrn_is_absent(c, v)) {
    wrn_fail(c, WR_EINVAL);
  }
}

/* True if there is a value and it is of this type. */
static bool is_a(wrn_call *c, napi_value v, napi_valuetype wanted) {
  if (wrn_is_absent(c, v) || c->err != 0) {
    return false;
  }
  if (type_of(c, v) != wanted) {
    wrn_fail(c, WR_EINVAL);
  }
  return c->err == 0;
}

napi_value wrn_prop(wrn_call *c, napi_value obj, const char *name) {
  napi_value out = NULL;
  wrn_need(c, obj);
  if (is_a(c, obj, napi_object)) {
    ok(c, napi_get_named_property(c->napi, obj, name, &out));
  }
  return out;
}

uint64_t wrn_uint(wrn_call *c, napi_value v, uint64_t max) {
  double d = 0;
  if (!is_a(c, v, napi_number) ||
      !ok(c, napi_get_value_double(c->napi, v, &d))) {
    return 0;
  }
  /* Written so that NaN fails; 2^53 is where doubles stop being exact. */
  if (!(d >= 0 && d <= 9007199254740992.0) || (double)(uint64_t)d < d ||
      (uint64_t)d > max) {
    wrn_fail(c, WR_EINVAL);
    return 0;
  }
  return (uint64_t)d;
}

uint32_t wrn_u32(wrn_call *c, napi_value v) {
  return (uint32_t)wrn_uint(c, v, UINT32_MAX);
}

uint16_t wrn_port(wrn_call *c, napi_value v) {
  return (uint16_t)wrn_uint(c, v, UINT16_MAX);
}

bool wrn_bool(wrn_call *c, napi_value v) {
  bool out = false;
  if (is_a(c, v, napi_boolean)) {
    ok(c, napi_get_value_bool(c->napi, v, &out));
  }
  return out;
}

/* With a zero behind it. */
static wr_slice copy_string(wrn_call *c, napi_value v, size_t max) {
  size_t len = 0;
  if (!ok(c, napi_get_value_string_utf8(c->napi, v, NULL, 0, &len))) {
    return (wr_slice){0};
  }
  if (len > max) {
    wrn_fail(c, WR_EINVAL);
    return (wr_slice){0};
  }
  char *text = wrn_call_alloc(c, len + 1, 1);
  if (text == NULL ||
      !ok(c, napi_get_value_string_utf8(c->napi, v, text, len + 1, &len))) {
    return (wr_slice){0};
  }
  return (wr_slice){(const uint8_t *)text, len};
}

const char *wrn_str(wrn_call *c, napi_value v) {
  if (!is_a(c, v, napi_string)) {
    return NULL;
  }
  wr_slice text = copy_string(c, v, WRN_STRING_MAX);
  if (text.data != NULL && memchr(text.data, 0, text.len) != NULL) {
    wrn_fail(c, WR_EINVAL);
  }
  return c->err != 0 ? NULL : (const char *)text.data;
}

const char *wrn_need_str(wrn_call *c, napi_value v) {
  wrn_need(c, v);
  return wrn_str(c, v);
}

wr_slice wrn_buffer(wrn_call *c, napi_value v) {
  bool is = false;
  void *data = NULL;
  size_t len = 0;
  if (c->err != 0 || v == NULL || !ok(c, napi_is_buffer(c->napi, v, &is)) ||
      !is) {
    wrn_fail(c, WR_EINVAL);
    return (wr_slice){0};
  }
  ok(c, napi_get_buffer_info(c->napi, v, &data, &len));
  return (wr_slice){data, data == NULL ? 0 : len};
}

static wr_slice copy_buffer(wrn_call *c, napi_value v) {
  wr_slice from = wrn_buffer(c, v);
  if (c->err != 0 || from.len > WRN_TEXT_MAX) {
    wrn_fail(c, WR_EINVAL);
    return (wr_slice){0};
  }
  char *text = wrn_call_alloc(c, from.len + 1, 1);
  if (text != NULL && from.len > 0) {
    memcpy(text, from.data, from.len);
  }
  return (wr_slice){(const uint8_t *)text, text == NULL ? 0 : from.len};
}

wr_slice wrn_text(wrn_call *c, napi_value v) {
  napi_valuetype type = type_of(c, v);
  if (c->err != 0 || type == napi_undefined || type == napi_null) {
    return (wr_slice){0};
  }
  return type == napi_string ? copy_string(c, v, WRN_TEXT_MAX)
                             : copy_buffer(c, v);
}

wr_slice wrn_need_text(wrn_call *c, napi_value v) {
  wrn_need(c, v);
  return wrn_text(c, v);
}

uint32_t wrn_array(wrn_call *c, napi_value v, uint32_t max) {
  bool is = false;
  uint32_t n = 0;
  if (wrn_is_absent(c, v) || c->err != 0) {
    return 0;
  }
  if (!ok(c, napi_is_array(c->napi, v, &is)) || !is ||
      !ok(c, napi_get_array_length(c->napi, v, &n)) || n > max) {
    wrn_fail(c, WR_EINVAL);
    return 0;
  }
  return n;
}

napi_value wrn_element(wrn_call *c, napi_value array, uint32_t index) {
  napi_value out = NULL;
  if (c->err == 0) {
    ok(c, napi_get_element(c->napi, array, index, &out));
  }
  return out;
}

void wrn_endpoint_arg(wrn_call *c, napi_value v, wr_endpoint *out) {
  const char *path = wrn_str(c, wrn_prop(c, v, "path"));
  const char *host = wrn_str(c, wrn_prop(c, v, "host"));
  uint16_t port = wrn_port(c, wrn_prop(c, v, "port"));
  const char *name = path != NULL ? path : host;
  *out = (wr_endpoint){.is_unix = path != NULL, .port = port};
  if (name == NULL || strlen(name) > WR_HOST_MAX) {
    wrn_fail(c, WR_EINVAL);
    return;
  }
  memcpy(out->host, name, strlen(name) + 1);
}

const wr_upstream *wrn_upstream_arg(wrn_call *c, napi_value v) {
  const char *url = wrn_str(c, v);
  const char *why;
  wr_upstream *u = url == NULL ? NULL : wrn_call_alloc(c, 1, sizeof(*u));
  if (u != NULL) {
    wrn_fail(c, wr_upstream_parse(url, u, &why));
  }
  return c->err != 0 ? NULL : u;
}

void *wrn_this(wrn_call *c, const wrn_class *cls) {
  uint32_t id = wrn_u32(c, c->argv[0]);
  void *o = c->err == 0 ? wrn_object_get(c->env, id, cls) : NULL;
  if (o == NULL) {
    wrn_fail(c, WR_ENOENT);
  }
  return o;
}

/* Results. */

napi_value wrn_object_value(wrn_call *c) {
  napi_value out = NULL;
  ok(c, napi_create_object(c->napi, &out));
  return out;
}

napi_value wrn_array_value(wrn_call *c) {
  napi_value out = NULL;
  ok(c, napi_create_array(c->napi, &out));
  return out;
}

napi_value wrn_num_value(wrn_call *c, double v) {
  napi_value out = NULL;
  ok(c, napi_create_double(c->napi, v, &out));
  return out;
}

napi_value wrn_str_value(wrn_call *c, const char *text, size_t len) {
  napi_value out = NULL;
  ok(c, napi_create_string_utf8(c->napi, text, len, &out));
  return out;
}

napi_value wrn_null_value(wrn_call *c) {
  napi_value out = NULL;
  ok(c, napi_get_null(c->napi, &out));
  return out;
}

void wrn_put(wrn_call *c, napi_value obj, const char *key, napi_value v) {
  if (obj != NULL && v != NULL) {
    ok(c, napi_set_named_property(c->napi, obj, key, v));
  }
}

void wrn_put_num(wrn_call *c, napi_value obj, const char *key, double v) {
  wrn_put(c, obj, key, wrn_num_value(c, v));
}

void wrn_put_bool(wrn_call *c, napi_value obj, const char *key, bool v) {
  napi_value value = NULL;
  ok(c, napi_get_boolean(c->napi, v, &value));
  wrn_put(c, obj, key, value);
}

void wrn_put_slice(wrn_call *c, napi_value obj, const char *key,
                   wr_slice text) {
  const char *s = text.data == NULL ? "" : (const char *)text.data;
  wrn_put(c, obj, key, wrn_str_value(c, s, text.len));
}

void wrn_put_str(wrn_call *c, napi_value obj, const char *key,
                 const char *text) {
  const char *s = text == NULL ? "" : text;
  wrn_put(c, obj, key, wrn_str_value(c, s, strlen(s)));
}

void wrn_put_buffer(wrn_call *c, napi_value obj, const char *key,
                    wr_slice data) {
  napi_value v = NULL;
  ok(c, napi_create_buffer_copy(c->napi, data.len, data.data, NULL, &v));
  wrn_put(c, obj, key, v);
}

void wrn_push(wrn_call *c, napi_value array, uint32_t index, napi_value v) {
  if (array != NULL && v != NULL) {
    ok(c, napi_set_element(c->napi, array, index, v));
  }
}

napi_value wrn_endpoint_value(wrn_call *c, const wr_endpoint *e) {
  napi_value out = wrn_object_value(c);
  wrn_put_str(c, out, e->is_unix ? "path" : "host", e->host);
  if (!e->is_unix) {
    wrn_put_num(c, out, "port", e->port);
  }
  return out;
}

int64_t wrn_status_line(wrn_call *c, int status, size_t line) {
  c->result = wrn_object_value(c);
  wrn_put_num(c, c->result, "status", status);
  wrn_put_num(c, c->result, "line", (double)line);
  return status;
}
