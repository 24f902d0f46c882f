#include <string.h>

#include "napi/keys.h"
#include "napi/methods.h"
#include "proxy/policy.h"
#include "ssh/known_hosts.h"

/* Methods that read a text and answer at once. */

int64_t wrn_known_hosts(wrn_call *c) {
  wr_slice text = wrn_need_text(c, c->argv[0]);
  const char *host = wrn_need_str(c, c->argv[1]);
  uint16_t port = wrn_port(c, c->argv[2]);
  wr_slice key = wrn_need_text(c, c->argv[3]);
  uint64_t now_s = wrn_uint(c, c->argv[4], UINT64_MAX);
  wr_buf blob;
  wr_known_answer answer;
  if (c->err != 0) {
    return c->err;
  }
  int err = wrn_blob_read(&c->env->ctx.mem, (const char *)key.data, &blob);
  if (err == 0) {
    err = wr_known_hosts_check((const char *)text.data, text.len, host, port,
                               (wr_slice){blob.data, blob.len}, now_s, &answer);
  }
  if (err == 0) {
    c->result = wrn_object_value(c);
    wrn_put_num(c, c->result, "verdict", answer.verdict);
    wrn_put_num(c, c->result, "line", (double)answer.line);
    if (answer.why != NULL) {
      wrn_put_str(c, c->result, "why", answer.why);
    }
  }
  wr_buf_reset(&blob);
  return err;
}

/* The result is what `out` holds, unless there is an error. Frees it. */
static int64_t give_text(wrn_call *c, int err, wr_buf *out) {
  if (err == 0) {
    const char *text = out->len == 0 ? "" : (const char *)out->data;
    c->result = wrn_str_value(c, text, out->len);
  }
  wr_buf_reset(out);
  return err;
}

int64_t wrn_known_hosts_line(wrn_call *c) {
  const char *host = wrn_need_str(c, c->argv[0]);
  uint16_t port = wrn_port(c, c->argv[1]);
  const char *key = wrn_need_str(c, c->argv[2]);
  wr_buf blob;
  wr_buf out;
  if (c->err != 0) {
    return c->err;
  }
  wr_buf_init(&out, &c->env->ctx.mem, WRN_LINE_MAX);
  int err = wrn_blob_read(&c->env->ctx.mem, key, &blob);
  if (err == 0) {
    err =
        wr_known_hosts_line(host, port, (wr_slice){blob.data, blob.len}, &out);
  }
  wr_buf_reset(&blob);
  return give_text(c, err, &out);
}

int64_t wrn_known_hosts_types(wrn_call *c) {
  wr_slice text = wrn_need_text(c, c->argv[0]);
  const char *host = wrn_need_str(c, c->argv[1]);
  uint16_t port = wrn_port(c, c->argv[2]);
  wr_buf out;
  if (c->err != 0) {
    return c->err;
  }
  wr_buf_init(&out, &c->env->ctx.mem, WRN_LINE_MAX);
  int err =
      wr_known_hosts_types((const char *)text.data, text.len, host, port, &out);
  return give_text(c, err, &out);
}

/* What is wrong, as the result. */
static int64_t give_reason(wrn_call *c, const char *why) {
  c->result = wrn_str_value(c, why, NAPI_AUTO_LENGTH);
  return 0;
}

int64_t wrn_forward_spec(wrn_call *c) {
  const char *text = wrn_need_str(c, c->argv[0]);
  bool remote = wrn_bool(c, c->argv[1]);
  const char *why = "";
  wr_forward_spec spec;
  if (c->err != 0) {
    return c->err;
  }
  int err = wr_forward_spec_parse(text, remote, &spec, &why);
  if (err != 0) {
    return give_reason(c, why);
  }
  c->result = wrn_object_value(c);
  wrn_put(c, c->result, "bind", wrn_endpoint_value(c, &spec.bind));
  wrn_put_bool(c, c->result, "bindGiven", spec.bind_given);
  wrn_put(c, c->result, "target", wrn_endpoint_value(c, &spec.target));
  return 0;
}

int64_t wrn_destination(wrn_call *c) {
  const char *text = wrn_need_str(c, c->argv[0]);
  const char *why = "";
  char name[WR_HOST_MAX + 1];
  wr_endpoint target;
  if (c->err != 0) {
    return c->err;
  }
  int err = wr_destination_parse(text, &target, &why);
  if (err != 0) {
    return give_reason(c, why);
  }
  c->result = wrn_endpoint_value(c, &target);
  if (!target.is_unix) {
    wrn_put_bool(c, c->result, "reserved", wr_reserved_name(target.host, name));
  }
  return 0;
}

/* { kind, host, port }: what may be shown of it. */
int64_t wrn_proxy_url(wrn_call *c) {
  const char *url = wrn_need_str(c, c->argv[0]);
  const char *why = "";
  wr_upstream u;
  if (c->err != 0) {
    return c->err;
  }
  int err = wr_upstream_parse(url, &u, &why);
  if (err != 0) {
    return give_reason(c, why);
  }
  c->result = wrn_object_value(c);
  wrn_put_str(c, c->result, "kind",
              u.kind == WR_UPSTREAM_HTTP ? "http" : "socks5");
  wrn_put_str(c, c->result, "host", u.host);
  wrn_put_num(c, c->result, "port", u.port);
  wr_upstream_wipe(&u);
  return 0;
}

int64_t wrn_rule_check(wrn_call *c) {
  const char *rule = wrn_need_str(c, c->argv[0]);
  const char *why = "";
  if (c->err != 0) {
    return c->err;
  }
  wr_policy *policy = wr_policy_new(&c->env->ctx.mem);
  if (policy == NULL) {
    return WR_ENOMEM;
  }
  int err = wr_policy_add(policy, true, rule, &why);
  wr_policy_free(policy);
  if (err == WR_ERULE) {
    return give_reason(c, why);
  }
  if (err == 0) {
    c->result = wrn_null_value(c);
  }
  return err;
}

int64_t wrn_network_check(wrn_call *c) {
  const char *text = wrn_need_str(c, c->argv[0]);
  wr_cidr cidr;
  return c->err != 0 ? c->err : wr_cidr_parse(text, &cidr);
}
