#include "ssh/trust.h"

#include <string.h>

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/match.h"
#include "ssh/verify.h"

#define SK_ED25519 "sk-ssh-ed25519@openssh.com"

/* One file, in the order in which they were added. */
typedef struct source {
  struct source *next;
  wr_authkeys_kind kind;
  wr_authkeys *keys;
} source;

struct wr_trust {
  wr_mem *mem;
  size_t refs;
  uint64_t seed;
  source *sources;
  wr_revoked *revoked;
};

/* LIFE CYCLE */

wr_trust *wr_trust_new(wr_mem *mem, uint64_t seed) {
  wr_trust *t = wr_calloc(mem, 1, sizeof(*t));
  if (t == NULL) {
    return NULL;
  }
  *t = (wr_trust){.mem = mem, .refs = 1, .seed = seed};
  t->revoked = wr_revoked_new(mem, seed);
  if (t->revoked == NULL) {
    wr_free(mem, t);
    return NULL;
  }
  return t;
}

wr_trust *wr_trust_ref(wr_trust *t) {
  t->refs++;
  return t;
}

void wr_trust_unref(wr_trust *t) {
  if (t == NULL) {
    return;
  }
  WR_ASSERT(t->refs > 0);
  if (--t->refs > 0) {
    return;
  }
  while (t->sources != NULL) {
    source *s = t->sources;
    t->sources = s->next;
    wr_authkeys_free(s->keys);
    wr_free(t->mem, s);
  }
  wr_revoked_free(t->revoked);
  wr_free(t->mem, t);
}

int wr_trust_add_keys(wr_trust *t, wr_authkeys_kind kind, const char *name,
                      const char *text, size_t len, wr_authkeys_error *error) {
  source **end = &t->sources;
  source *s = wr_calloc(t->mem, 1, sizeof(*s));
  *error = (wr_authkeys_error){0};
  if (s == NULL) {
    return WR_ENOMEM;
  }
  s->kind = kind;
  int err = wr_authkeys_parse(t->mem, t->seed, kind, name, text, len, &s->keys,
                              error);
  if (err != 0) {
    wr_free(t->mem, s);
    return err;
  }
  while (*end != NULL) {
    end = &(*end)->next;
  }
  *end = s;
  return 0;
}

int wr_trust_add_revoked(wr_trust *t, const void *data, size_t len,
                         size_t *line) {
  return wr_revoked_add(t->revoked, data, len, line);
}

size_t wr_trust_count(const wr_trust *t) {
  size_t n = 0;
  for (const source *s = t->sources; s != NULL; s = s->next) {
    n += wr_authkeys_count(s->keys);
  }
  return n;
}

const char *wr_trust_reason_token(wr_trust_reason reason) {
  static const char *const tokens[] = {
#define XX(name, token) [WR_TRUST_##name] = token,
      WR_TRUST_REASONS(XX)
#undef XX
  };
  return tokens[reason];
}

/* JUDGING. One line after the other: the first that accepts decides. If none
   does, the first reason is given, for it is the one about the line that was
   most likely meant. */

/* What the options of a line say, whatever kind of key it is for. */
static wr_trust_reason judge_line(const wr_keyopts *o, const wr_login *l) {
  if (o->expires_s != 0 && l->now_s > o->expires_s) {
    return WR_TRUST_KEY_EXPIRED;
  }
  if (o->from != NULL &&
      wr_match_from((wr_slice){(const uint8_t *)o->from, strlen(o->from)},
                    l->address) != WR_MATCH_YES) {
    return WR_TRUST_FROM;
  }
  return WR_TRUST_ACCEPT;
}

/* A security key has to be touched for each login, and more if that is asked
   for. An offer has no signature yet and so no flags to look at. */
static wr_trust_reason judge_touch(wr_slice key, const wr_login *l,
                                   bool verify_required) {
  wr_rd r;
  wr_rd_init(&r, key.data, key.len);
  if (!l->proved || !wr_slice_eq(wr_rd_string(&r), SK_ED25519)) {
    return WR_TRUST_ACCEPT;
  }
  if ((l->sk_flags & WR_SK_USER_PRESENT) == 0) {
    return WR_TRUST_TOUCH;
  }
  if (verify_required && (l->sk_flags & WR_SK_USER_VERIFIED) == 0) {
    return WR_TRUST_VERIFY;
  }
  return WR_TRUST_ACCEPT;
}

/* expires_s of a line is its last good second. */
static uint64_t line_end(const wr_keyopts *o) {
  return o->expires_s == 0 || o->expires_s == UINT64_MAX ? WR_TRUST_NEVER
                                                         : o->expires_s + 1;
}

/* Takes what one line says into the decision. True: no other line counts. */
static bool settle(wr_decision *d, wr_trust_reason reason,
                   const wr_keyline *line) {
  if (reason == WR_TRUST_ACCEPT || d->line == NULL) {
    d->reason = reason;
    d->line = line;
  }
  return reason == WR_TRUST_ACCEPT;
}

static bool judge_key_line(const wr_keyline *line, const wr_login *l,
                           wr_decision *d) {
  const wr_keyopts *o = &line->opts;
  wr_trust_reason reason = judge_line(o, l);
  if (reason == WR_TRUST_ACCEPT) {
    reason = judge_touch(l->blob, l, o->verify_required);
  }
  if (!settle(d, reason, line)) {
    return false;
  }
  d->port_forwarding = o->port_forwarding;
  d->expires_s = line_end(o);
  return true;
}

static void judge_key(const wr_trust *t, const wr_login *l, wr_decision *d) {
  d->reason = WR_TRUST_UNKNOWN_KEY;
  for (const source *s = t->sources; s != NULL; s = s->next) {
    const wr_keyline *line = NULL;
    if (s->kind != WR_AUTHKEYS_USERS) {
      continue;
    }
    while ((line = wr_authkeys_find(s->keys, l->blob, false, line)) != NULL) {
      if (judge_key_line(line, l, d)) {
        return;
      }
    }
  }
}

/* CERTIFICATES */

/* What holds for a certificate whoever trusts its authority. */
static wr_trust_reason judge_cert_itself(const wr_cert *c, const wr_login *l,
                                         wr_cert_opts *o) {
  if (c->kind != WR_CERT_USER) {
    return WR_TRUST_CERT_TYPE;
  }
  if (l->now_s < c->valid_after_s) {
    return WR_TRUST_CERT_NOT_YET_VALID;
  }
  if (l->now_s >= c->valid_before_s) {
    return WR_TRUST_CERT_EXPIRED;
  }
  if (c->principals.len == 0) {
    return WR_TRUST_CERT_NO_PRINCIPALS;
  }
  if (wr_cert_read_opts(c, o) != 0) {
    return WR_TRUST_CERT_OPTION;
  }
  if (o->force_command) {
    return WR_TRUST_CERT_FORCE_COMMAND;
  }
  if (o->source_address.data == NULL) {
    return WR_TRUST_ACCEPT;
  }
  if (!wr_match_source_valid(o->source_address)) {
    return WR_TRUST_CERT_OPTION;
  }
  return wr_match_source(o->source_address, l->address)
             ? WR_TRUST_ACCEPT
             : WR_TRUST_CERT_SOURCE_ADDRESS;
}

/* Without a list the user's name has to be among the principals. */
static bool principal_fits(const wr_cert *c, const char *list,
                           const char *user) {
  wr_slice rest = c->principals;
  wr_slice name;
  if (list == NULL) {
    return wr_cert_has_principal(
        c, (wr_slice){(const uint8_t *)user, strlen(user)});
  }
  wr_slice names = {(const uint8_t *)list, strlen(list)};
  while (wr_cert_next_principal(&rest, &name)) {
    if (wr_match_name(names, name)) {
      return true;
    }
  }
  return false;
}

static bool judge_cert_line(const wr_keyline *line, const wr_login *l,
                            const wr_cert_opts *cert_opts, wr_decision *d) {
  const wr_keyopts *o = &line->opts;
  wr_slice key = {d->cert.key, d->cert.key_len};
  wr_trust_reason reason = judge_line(o, l);
  if (reason == WR_TRUST_ACCEPT &&
      !principal_fits(&d->cert, o->principals, l->user)) {
    reason = WR_TRUST_CERT_PRINCIPAL;
  }
  if (reason == WR_TRUST_ACCEPT) {
    bool verify = o->verify_required || cert_opts->verify_required;
    reason = judge_touch(key, l, verify);
  }
  if (!settle(d, reason, line)) {
    return false;
  }
  d->port_forwarding = o->port_forwarding && cert_opts->port_forwarding;
  d->expires_s = WR_MIN(line_end(o), d->cert.valid_before_s);
  return true;
}

/* cert-authority lines of authorized_keys come before --cert-authority, as in
   sshd: they may be stricter. */
static const wr_keyline *next_authority(const wr_trust *t,
                                        wr_authkeys_kind kind, wr_slice blob,
                                        const source **at,
                                        const wr_keyline *line) {
  for (const source *s = *at != NULL ? *at : t->sources; s != NULL;
       s = s->next) {
    if (s->kind == kind) {
      line = wr_authkeys_find(s->keys, blob, true, line);
      if (line != NULL) {
        *at = s;
        return line;
      }
    }
    line = NULL;
  }
  return NULL;
}

static bool has_authority(const wr_trust *t, wr_slice blob) {
  const source *at = NULL;
  if (next_authority(t, WR_AUTHKEYS_USERS, blob, &at, NULL) != NULL) {
    return true;
  }
  at = NULL;
  return next_authority(t, WR_AUTHKEYS_AUTHORITIES, blob, &at, NULL) != NULL;
}

static bool judge_authorities(const wr_trust *t, wr_authkeys_kind kind,
                              const wr_login *l, const wr_cert_opts *opts,
                              wr_decision *d) {
  const source *at = NULL;
  const wr_keyline *line = NULL;
  while ((line = next_authority(t, kind, d->cert.authority, &at, line)) !=
         NULL) {
    if (judge_cert_line(line, l, opts, d)) {
      return true;
    }
  }
  return false;
}

/* The signature is checked last but for what one line says: only for an
   authority that is trusted, so that nobody else's key costs us anything. */
static void judge_cert(const wr_trust *t, const wr_login *l, wr_decision *d) {
  wr_cert_opts opts;
  if (wr_cert_parse(l->blob, &d->cert) != 0) {
    d->reason = WR_TRUST_CERT_MALFORMED;
    return;
  }
  d->is_cert = true;
  if (!has_authority(t, d->cert.authority)) {
    d->reason = WR_TRUST_UNKNOWN_AUTHORITY;
    return;
  }
  if (wr_cert_verify(&d->cert) != 0) {
    d->reason = WR_TRUST_CERT_SIGNATURE;
    return;
  }
  d->reason = judge_cert_itself(&d->cert, l, &opts);
  if (d->reason == WR_TRUST_ACCEPT &&
      !judge_authorities(t, WR_AUTHKEYS_USERS, l, &opts, d)) {
    (void)judge_authorities(t, WR_AUTHKEYS_AUTHORITIES, l, &opts, d);
  }
}

void wr_trust_judge(const wr_trust *t, const wr_login *login,
                    wr_decision *out) {
  memset(out, 0, sizeof(*out));
  if (wr_revoked_has(t->revoked, login->blob)) {
    out->reason = WR_TRUST_REVOKED;
  } else if (wr_cert_type(wr_blob_type(login->blob))) {
    judge_cert(t, login, out);
  } else {
    judge_key(t, login, out);
  }
}
