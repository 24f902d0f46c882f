#ifndef WR_NAPI_ARGS_H
#define WR_NAPI_ARGS_H

#include "napi/env.h"
#include "net/upstream.h"
#include "proxy/spec.h"

/* One call from JavaScript. What is read of its arguments is checked; the first
   failure is kept in `err`, and all readers do nothing after it, so that a method
   reads everything and looks once.

   Reading a property may run JavaScript (a getter), which may close anything:
   methods look ids up after they have read everything else. */
#define WRN_ARGS_MAX 6
#define WRN_TEXT_MAX ((size_t)16 * 1024 * 1024)
#define WRN_STRING_MAX ((size_t)4096)

typedef struct wrn_call {
  wrn_env *env;
  napi_env napi;
  int err;                       /* first failure: WR_E…, 0 */
  napi_value result;             /* NULL: the number that the method returns */
  napi_value argv[WRN_ARGS_MAX]; /* undefined where none was given */
  wr_list blocks;                /* private: memory that ends with the call */
} wrn_call;

typedef int64_t (*wrn_method)(wrn_call *c);

/* Runs one method; `data` of the napi function is the wrn_method_entry. */
typedef struct wrn_method_entry {
  const char *name;
  wrn_method run;
} wrn_method_entry;
napi_value wrn_call_run(napi_env napi, napi_callback_info info);

/* Keeps the first failure; returns the present one. */
int wrn_fail(wrn_call *c, int err);
/* True for undefined and null. */
bool wrn_is_absent(wrn_call *c, napi_value v);
/* WR_EINVAL if it is absent. */
void wrn_need(wrn_call *c, napi_value v);
/* Undefined if there is none; WR_EINVAL if obj is no object. */
napi_value wrn_prop(wrn_call *c, napi_value obj, const char *name);

uint32_t wrn_u32(wrn_call *c, napi_value v);
/* A whole number up to max; 0 if absent. */
uint64_t wrn_uint(wrn_call *c, napi_value v, uint64_t max);
/* 0 if absent. */
uint16_t wrn_port(wrn_call *c, napi_value v);
/* false if absent. */
bool wrn_bool(wrn_call *c, napi_value v);
/* A string without zero bytes, NULL if absent. Wiped at the end of the call. */
const char *wrn_str(wrn_call *c, napi_value v);
/* As wrn_str, but it must be there. */
const char *wrn_need_str(wrn_call *c, napi_value v);
/* A string or a Buffer, copied, with a zero behind it; {NULL, 0} if absent. */
wr_slice wrn_text(wrn_call *c, napi_value v);
wr_slice wrn_need_text(wrn_call *c, napi_value v);
/* The bytes of a Buffer, borrowed while no JavaScript runs. */
wr_slice wrn_buffer(wrn_call *c, napi_value v);
/* The length of an array of at most max elements; 0 if absent. */
uint32_t wrn_array(wrn_call *c, napi_value v, uint32_t max);
napi_value wrn_element(wrn_call *c, napi_value array, uint32_t index);
/* { host, port } or { path }; is_unix says which. */
void wrn_endpoint_arg(wrn_call *c, napi_value v, wr_endpoint *out);
/* The URL of a proxy; NULL if absent. Wiped at the end of the call. */
const wr_upstream *wrn_upstream_arg(wrn_call *c, napi_value v);
/* The object of argv[0]; NULL and WR_ENOENT if there is none. */
void *wrn_this(wrn_call *c, const wrn_class *cls);
/* Zeroed memory that ends with the call. NULL: WR_ENOMEM. */
void *wrn_call_alloc(wrn_call *c, size_t n, size_t size);

/* Results. */
napi_value wrn_object_value(wrn_call *c);
napi_value wrn_array_value(wrn_call *c);
napi_value wrn_num_value(wrn_call *c, double v);
napi_value wrn_str_value(wrn_call *c, const char *text, size_t len);
napi_value wrn_null_value(wrn_call *c);
void wrn_put(wrn_call *c, napi_value obj, const char *key, napi_value v);
void wrn_put_num(wrn_call *c, napi_value obj, const char *key, double v);
void wrn_put_bool(wrn_call *c, napi_value obj, const char *key, bool v);
void wrn_put_str(wrn_call *c, napi_value obj, const char *key,
                 const char *text);
void wrn_put_slice(wrn_call *c, napi_value obj, const char *key, wr_slice text);
/* A copy as a Buffer. */
void wrn_put_buffer(wrn_call *c, napi_value obj, const char *key,
                    wr_slice data);
void wrn_push(wrn_call *c, napi_value array, uint32_t index, napi_value v);
/* { path } or { host, port }. */
napi_value wrn_endpoint_value(wrn_call *c, const wr_endpoint *e);
/* Sets the result to { status, line }. */
int64_t wrn_status_line(wrn_call *c, int status, size_t line);

#endif /* !defined(WR_NAPI_ARGS_H) */
