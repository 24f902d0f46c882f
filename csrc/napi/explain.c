#include <inttypes.h>
#include <string.h>

#include "napi/cert.h"
#include "napi/methods.h"
#include "napi/trust.h"
#include "proxy/access.h"
#include "proxy/bind.h"

/* `wraith policy`: what a server with these keys and rules would decide, and by
   what. */

typedef struct question {
  wr_trust *trust;
  wr_policy *policy;
  wr_buf blob;        /* of the key or certificate */
  wr_login login;     /* borrows from blob */
  wr_endpoint target; /* or where to listen */
  const char *ip;     /* that the target's name resolved to; NULL: not asked */
  bool listen;
  bool gateway_ports;
  bool proxied; /* names are resolved by a proxy of the server's */
} question;

static void read_login(wrn_call *c, napi_value o, question *q) {
  const char *user = wrn_need_str(c, wrn_prop(c, o, "user"));
  const char *address = wrn_str(c, wrn_prop(c, o, "address"));
  wr_slice key = wrn_need_text(c, wrn_prop(c, o, "key"));
  uint64_t now_s = wrn_uint(c, wrn_prop(c, o, "now"), UINT32_MAX);
  if (c->err == 0) {
    wrn_fail(c, wr_blob_parse_line((const char *)key.data, key.len, &q->blob));
  }
  q->login = (wr_login){.user = user,
                        .blob = {q->blob.data, q->blob.len},
                        .address = address == NULL ? "" : address,
                        .now_s = now_s};
}

/* The names of the reasons of a refusal, and of what allowed. */
static void put_ruling(wrn_call *c, napi_value out, wr_ruling ruling) {
  wrn_put_bool(c, out, "allowed", ruling.verdict == WR_ALLOW);
  if (ruling.verdict == WR_CHECK_ADDRESSES) {
    wrn_put_str(c, out, "why", "addresses");
  } else {
    wrn_put_str(c, out, "why", ruling.rule == WR_NO_RULE ? "default" : "rule");
  }
  if (ruling.rule != WR_NO_RULE) {
    wrn_put_num(c, out, "rule", (double)ruling.rule);
  }
}

static wr_ruling rule_target(const question *q) {
  char name[WR_HOST_MAX + 1];
  char bind[WR_HOST_MAX + 1];
  wr_ip ip;
  const wr_endpoint *t = &q->target;
  if (t->is_unix) {
    return wr_policy_rule_unix(q->policy, t->host);
  }
  if (wr_reserved_name(t->host, name)) {
    return wr_policy_rule_reserved(q->policy, name);
  }
  if (q->listen) {
    return wr_bind_choose(t->host, q->gateway_ports, bind)
               ? wr_policy_rule_listen(q->policy, bind, t->port)
               : (wr_ruling){WR_DENY, WR_NO_RULE};
  }
  if (q->ip != NULL && wr_ip_parse(q->ip, &ip) == 0) {
    return wr_policy_rule_address(q->policy, t->host, t->port, &ip);
  }
  return q->proxied ? wr_policy_rule_proxied(q->policy, t->host, t->port)
                    : wr_policy_rule_host(q->policy, t->host, t->port);
}

static bool key_allows(const question *q, const wr_keyopts *o) {
  const wr_endpoint *t = &q->target;
  if (q->listen) {
    return t->is_unix ? wr_keyopts_may_listen_unix(o)
                      : wr_keyopts_may_listen(o, t->host, t->port);
  }
  return t->is_unix ? wr_keyopts_may_open_unix(o)
                    : wr_keyopts_may_open(o, t->host, t->port);
}

static napi_value forward_value(wrn_call *c, const question *q,
                                const wr_decision *d) {
  napi_value out = wrn_object_value(c);
  const char *why = NULL;
  if (d->reason != WR_TRUST_ACCEPT) {
    why = "login";
  } else if (!d->port_forwarding) {
    why = d->line->opts.port_forwarding ? "certificate" : "no-port-forwarding";
  } else if (!key_allows(q, &d->line->opts)) {
    why = q->listen ? "permitlisten" : "permitopen";
  }
  if (why == NULL) {
    put_ruling(c, out, rule_target(q));
  } else {
    wrn_put_bool(c, out, "allowed", false);
    wrn_put_str(c, out, "why", why);
  }
  return out;
}

static napi_value login_value(wrn_call *c, const wr_decision *d) {
  napi_value out = wrn_object_value(c);
  char text[24];
  wrn_put_bool(c, out, "allowed", d->reason == WR_TRUST_ACCEPT);
  wrn_put_str(c, out, "reason", wr_trust_reason_token(d->reason));
  if (d->line != NULL) {
    wrn_put_str(c, out, "file", d->line->file);
    wrn_put_num(c, out, "line", (double)d->line->number);
  }
  if (d->reason == WR_TRUST_ACCEPT && d->expires_s != WR_TRUST_NEVER) {
    snprintf(text, sizeof(text), "%" PRIu64, d->expires_s);
    wrn_put_str(c, out, "expires", text);
  }
  if (d->is_cert) {
    wrn_put_certificate(c, out, "certificate", &d->cert);
  }
  return out;
}

static void answer(wrn_call *c, const question *q) {
  wr_decision d;
  wr_trust_judge(q->trust, &q->login, &d);
  c->result = wrn_object_value(c);
  wrn_put(c, c->result, "login", login_value(c, &d));
  wrn_put(c, c->result, "forward", forward_value(c, q, &d));
}

int64_t wrn_policy_explain(wrn_call *c) {
  napi_value o = c->argv[0];
  question q = {0};
  wrn_trust_error error = {0};
  wr_buf_init(&q.blob, &c->env->ctx.mem, WR_CERT_BLOB_MAX);
  wrn_endpoint_arg(c, wrn_prop(c, o, "target"), &q.target);
  q.listen = wrn_bool(c, wrn_prop(c, o, "listen"));
  q.gateway_ports = wrn_bool(c, wrn_prop(c, o, "gatewayPorts"));
  q.proxied = wrn_bool(c, wrn_prop(c, o, "proxied"));
  q.ip = wrn_str(c, wrn_prop(c, o, "ip"));
  read_login(c, o, &q);
  napi_value rules = wrn_prop(c, o, "rules");
  napi_value trust = wrn_prop(c, o, "trust");
  wrn_need(c, rules);
  wrn_need(c, trust);
  int64_t status = c->err;
  if (c->err == 0) {
    q.policy = wrn_rules_read(c, rules);
    q.trust = wrn_trust_read(c, trust, &error);
    status = c->err != 0 ? wrn_trust_status(c, &error) : 0;
    if (q.trust != NULL && q.policy != NULL) {
      answer(c, &q);
    }
  }
  wr_trust_unref(q.trust);
  wr_policy_free(q.policy);
  wr_buf_reset(&q.blob);
  return status;
}
