#include "napi/trust.h"

#include <string.h>

#include "napi/methods.h"

#define RULES_MAX 4096
#define SOURCES_MAX 1000

static int add_text(wr_trust *t, const char *kind, const char *name,
                    wr_slice text, wrn_trust_error *error) {
  wr_authkeys_error at = {0};
  const char *chars = (const char *)text.data;
  wr_authkeys_kind keys = WR_AUTHKEYS_USERS;
  if (strcmp(kind, "revoked") == 0) {
    return wr_trust_add_revoked(t, text.data, text.len, &error->line);
  }
  if (strcmp(kind, "authorities") == 0) {
    keys = WR_AUTHKEYS_AUTHORITIES;
  } else if (strcmp(kind, "keys") != 0) {
    return WR_EINVAL;
  }
  int err = wr_trust_add_keys(t, keys, name, chars, text.len, &at);
  error->line = at.line;
  error->why = at.why;
  return err;
}

static void add_source(wrn_call *c, wr_trust *t, napi_value v,
                       wrn_trust_error *error) {
  const char *kind = wrn_need_str(c, wrn_prop(c, v, "kind"));
  const char *name = wrn_need_str(c, wrn_prop(c, v, "name"));
  wr_slice text = wrn_need_text(c, wrn_prop(c, v, "text"));
  if (c->err == 0) {
    wrn_fail(c, add_text(t, kind, name, text, error));
  }
}

wr_trust *wrn_trust_read(wrn_call *c, napi_value list, wrn_trust_error *error) {
  wr_ctx *ctx = &c->env->ctx;
  *error = (wrn_trust_error){0};
  if (wrn_is_absent(c, list) || c->err != 0) {
    return NULL;
  }
  uint32_t n = wrn_array(c, list, SOURCES_MAX);
  wr_trust *t = wr_trust_new(&ctx->mem, wr_ctx_rand64(ctx));
  if (t == NULL) {
    wrn_fail(c, WR_ENOMEM);
  }
  for (uint32_t i = 0; i < n && c->err == 0; i++) {
    error->source = i;
    add_source(c, t, wrn_element(c, list, i), error);
  }
  if (c->err != 0) {
    wr_trust_unref(t);
    return NULL;
  }
  return t;
}

int64_t wrn_trust_status(wrn_call *c, const wrn_trust_error *error) {
  int status = c->err;
  c->err = 0;
  (void)wrn_status_line(c, status, error->line);
  wrn_put_num(c, c->result, "source", error->source);
  if (error->why != NULL) {
    wrn_put_str(c, c->result, "why", error->why);
  }
  return 0;
}

int64_t wrn_trust_check(wrn_call *c) {
  wrn_trust_error error;
  wrn_need(c, c->argv[0]);
  wr_trust *t = wrn_trust_read(c, c->argv[0], &error);
  wr_trust_unref(t);
  return wrn_trust_status(c, &error);
}

wr_policy *wrn_rules_read(wrn_call *c, napi_value array) {
  const char *why = "";
  if (wrn_is_absent(c, array) || c->err != 0) {
    return NULL;
  }
  uint32_t n = wrn_array(c, array, RULES_MAX);
  wr_policy *policy = wr_policy_new(&c->env->ctx.mem);
  if (policy == NULL) {
    wrn_fail(c, WR_ENOMEM);
  }
  for (uint32_t i = 0; i < n && c->err == 0; i++) {
    napi_value rule = wrn_element(c, array, i);
    bool allowed = wrn_bool(c, wrn_element(c, rule, 0));
    const char *text = wrn_need_str(c, wrn_element(c, rule, 1));
    if (c->err == 0) {
      wrn_fail(c, wr_policy_add(policy, allowed, text, &why));
    }
  }
  if (c->err != 0) {
    wr_policy_free(policy);
    return NULL;
  }
  return policy;
}
