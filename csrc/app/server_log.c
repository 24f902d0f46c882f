#include "app/server_internal.h"

#include <inttypes.h>

/* Every record that a server writes, with its fields in order: docs/log.md.
   Nothing of a peer's stands before remote_addr. Reasons are counted here, where
   each passes once, so that log and counters cannot disagree; those of rejected
   connections, which may have no record, in server_reject.c. */

static void put(const wr_server *s, wr_log_level level, const char *message,
                const wr_log_field *fields, size_t n) {
  wr_log_write(&s->opts.log, level, message, fields, n);
}

/* A field is never missing where a line must have it. */
static wr_log_field text_or_dash(const char *key, const char *text) {
  return wr_log_str(key, text[0] == '\0' ? "-" : text);
}

static wr_log_field remote_addr(const char *address) {
  return text_or_dash("remote_addr", address);
}

static wr_log_field session_id(const server_session *ss) {
  return wr_log_int("session", ss->id);
}

void wr__log_listening(const wr_server *s, const struct sockaddr *sa,
                       const char *transport) {
  char addr[WR_ADDR_TEXT_MAX];
  wr_sockaddr_text(sa, addr);
  wr_log_field f[] = {wr_log_str("listen_addr", addr),
                      wr_log_str("transport", transport)};
  put(s, WR_LOG_INFO, "server listening", f, WR_COUNTOF(f));
}

void wr__log_stopping(const wr_server *s) {
  wr_log_field f[] = {wr_log_int("sessions", s->n_live)};
  put(s, WR_LOG_INFO, "server stopping", f, WR_COUNTOF(f));
}

void wr__log_reload(const wr_server *s, bool trust, bool policy) {
  wr_log_field f[] = {wr_log_str("keys", trust ? "new" : "kept"),
                      wr_log_str("policy", policy ? "new" : "kept")};
  put(s, WR_LOG_INFO, "reload", f, WR_COUNTOF(f));
}

void wr__log_opened(const server_session *ss) {
  wr_log_field f[] = {remote_addr(ss->address),
                      wr_log_str("transport", ss->transport), session_id(ss)};
  put(ss->server, WR_LOG_INFO, "connection opened", f, WR_COUNTOF(f));
}

void wr__log_attempt(const server_session *ss, const char *user,
                     const char *fingerprint, const wr_cert *cert,
                     const char *reason) {
  char authority[WR_FINGERPRINT_MAX];
  char serial[24];
  wr_log_field f[9];
  size_t n = 0;
  f[n++] = remote_addr(ss->address);
  f[n++] = wr_log_str("user", user);
  f[n++] = text_or_dash("key_fingerprint", fingerprint);
  f[n++] = wr_log_str("result", reason == NULL ? "accept" : "reject");
  if (reason != NULL) {
    f[n++] = wr_log_str("reason", reason);
    wr_counts_add(&ss->server->past.auth_rejections, reason);
  }
  f[n++] = session_id(ss);
  if (cert != NULL) {
    wr_blob_fingerprint(cert->authority, authority);
    snprintf(serial, sizeof(serial), "%" PRIu64, cert->serial);
    f[n++] = wr_log_str("authority", authority);
    f[n++] = wr_log_str("cert_serial", serial);
    f[n++] = wr_log_bytes("cert_id", cert->key_id.data, cert->key_id.len);
  }
  put(ss->server, WR_LOG_INFO, "auth attempt", f, n);
}

void wr__log_auth_failed(const server_session *ss) {
  wr_log_field f[] = {remote_addr(ss->address),
                      wr_log_int("attempts", ss->attempts), session_id(ss)};
  put(ss->server, WR_LOG_WARN, "auth failed", f, WR_COUNTOF(f));
}

void wr__log_ended(const server_session *ss, const char *reason) {
  wr_log_field f[] = {remote_addr(ss->address), wr_log_str("reason", reason),
                      session_id(ss)};
  wr_counts_add(&ss->server->past.ends, reason);
  put(ss->server, WR_LOG_INFO, "session ended", f, WR_COUNTOF(f));
}

#define SECONDS_MAX 32

/* With one decimal. */
static wr_log_field seconds(uint64_t ms, char text[SECONDS_MAX]) {
  snprintf(text, SECONDS_MAX, "%" PRIu64 ".%u", ms / 1000,
           (unsigned)(ms % 1000 / 100));
  return wr_log_str("duration", text);
}

void wr__log_closed(const server_session *ss) {
  char text[SECONDS_MAX];
  uint64_t ms = wr_ctx_now(ss->server->ctx) - ss->since_ms;
  wr_log_field f[] = {remote_addr(ss->address), seconds(ms, text),
                      session_id(ss)};
  put(ss->server, WR_LOG_INFO, "connection closed", f, WR_COUNTOF(f));
}

void wr__log_rejected(const wr_server *s, const char *address,
                      const char *transport, const char *reason) {
  wr_log_field f[] = {remote_addr(address), wr_log_str("transport", transport),
                      wr_log_str("reason", reason)};
  put(s, WR_LOG_WARN, "connection rejected", f, WR_COUNTOF(f));
}

void wr__log_rejected_sum(const wr_server *s, const char *reason,
                          uint32_t count) {
  wr_log_field f[] = {wr_log_str("reason", reason), wr_log_int("count", count)};
  put(s, WR_LOG_WARN, "connections rejected", f, WR_COUNTOF(f));
}

static const char *proxy_reason(int err) {
  switch (err) {
  case WR_EPROXY_AUTH:
    return "auth";
  case WR_EPROXY_PROTOCOL:
    return "protocol";
  default:
    return "unreachable";
  }
}

void wr__log_proxy_failed(wr_server *s, int err) {
  wr_log_field f[] = {wr_log_str("reason", proxy_reason(err))};
  if (wr__reject_is_due(s, &s->proxy_quiet_ms)) {
    put(s, WR_LOG_WARN, "proxy failed", f, WR_COUNTOF(f));
  }
}

void wr__log_penalty(const wr_server *s, const char *address,
                     uint64_t duration_ms, const char *reason) {
  char text[SECONDS_MAX];
  wr_log_field f[] = {remote_addr(address), seconds(duration_ms, text),
                      wr_log_str("reason", reason)};
  put(s, WR_LOG_WARN, "penalty", f, WR_COUNTOF(f));
}
