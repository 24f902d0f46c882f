#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <uv.h>

#include "napi/methods.h"
#include "ssh/version.h"

/* deps/build.js writes it; builds with the system's libraries may have none. */
#if defined(__has_include)
#if __has_include(<versions.h>)
#include <versions.h>
#endif
#endif

#ifndef WR_DEPS_NGTCP2_VERSION
#define WR_DEPS_NGTCP2_VERSION ""
#endif
#ifndef WR_DEPS_NGHTTP3_VERSION
#define WR_DEPS_NGHTTP3_VERSION ""
#endif
#ifndef WR_DEPS_MANIFEST
#define WR_DEPS_MANIFEST "[]"
#endif
#ifdef WR_NO_POOL
#define VARIANT "sanitize"
#else
#define VARIANT "release"
#endif

static napi_value manifest(wrn_call *c) {
  napi_value global = NULL;
  napi_value json = NULL;
  napi_value parse = NULL;
  napi_value out = NULL;
  napi_value text = wrn_str_value(c, WR_DEPS_MANIFEST, NAPI_AUTO_LENGTH);
  if (napi_get_global(c->napi, &global) != napi_ok ||
      napi_get_named_property(c->napi, global, "JSON", &json) != napi_ok ||
      napi_get_named_property(c->napi, json, "parse", &parse) != napi_ok ||
      napi_call_function(c->napi, json, parse, 1, &text, &out) != napi_ok) {
    wrn_fail(c, WR_EINVAL);
    return NULL;
  }
  return out;
}

int64_t wrn_build_info(wrn_call *c) {
  uint32_t napi = 0;
  if (napi_get_version(c->napi, &napi) != napi_ok) {
    return WR_EINVAL;
  }
  napi_value out = wrn_object_value(c);
  /* What runs, not what was compiled for; for these two the module refuses to
     load if they differ. */
  wrn_put_str(c, out, "libssh", wr_libssh_version());
  wrn_put_str(c, out, "openssl", wr_openssl_version());
  wrn_put_str(c, out, "ngtcp2", WR_DEPS_NGTCP2_VERSION);
  wrn_put_str(c, out, "nghttp3", WR_DEPS_NGHTTP3_VERSION);
  wrn_put_str(c, out, "libuv", uv_version_string());
  wrn_put_num(c, out, "napi", NAPI_VERSION);
  wrn_put_num(c, out, "napiRuntime", napi);
  wrn_put_str(c, out, "variant", VARIANT);
  wrn_put(c, out, "sources", manifest(c));
  c->result = out;
  return 0;
}

int64_t wrn_no_cores(wrn_call *c) {
  WR_UNUSED(c);
#ifdef __linux__
  /* Unlike a limit of 0 this also holds where cores go to a pipe (core(5)). */
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : UV_EPERM;
#else
  return UV_ENOTSUP;
#endif
}
