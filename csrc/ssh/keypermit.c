#include <string.h>

#include "base/wire.h"
#include "net/reserved.h"
#include "ssh/keyopts_internal.h"
#include "ssh/match.h"

/* A host is shorter, brackets included (NI_MAXHOST of sshd). */
#define HOST_MAX 1025

/* Where the host at the front ends, brackets included; SIZE_MAX: nowhere. */
static size_t host_end(wr_slice text) {
  size_t at = 0;
  if (text.len > 0 && text.data[0] == '[') {
    const uint8_t *close = memchr(text.data, ']', text.len);
    return close == NULL ? SIZE_MAX : (size_t)(close - text.data) + 1;
  }
  while (at < text.len && text.data[at] != ':' && text.data[at] != '/') {
    at++;
  }
  return at;
}

bool wr__permit_split(wr_slice text, bool listen, wr_slice *host,
                      wr_slice *port) {
  if (listen && memchr(text.data, ':', text.len) == NULL) {
    *host = wr_slice_of("*");
    *port = text;
    return true;
  }
  size_t end = host_end(text);
  if (end >= HOST_MAX) {
    return false;
  }
  uint8_t mark = end < text.len ? text.data[end] : ':';
  if (mark != ':' && (mark != '/' || listen)) {
    return false;
  }
  bool bracketed = text.len > 0 && text.data[0] == '[';
  *host = bracketed ? (wr_slice){text.data + 1, end - 2}
                    : (wr_slice){text.data, end};
  size_t skip = WR_MIN(end + 1, text.len);
  *port = (wr_slice){text.data + skip, text.len - skip};
  return true;
}

bool wr__permit_port(wr_slice text, uint16_t *port) {
  uint64_t n = 0;
  if (wr_slice_eq(text, "*")) {
    *port = 0;
    return true;
  }
  if (wr_parse_uint((const char *)text.data, text.len, UINT16_MAX, &n) != 0 ||
      n == 0) {
    return false;
  }
  *port = (uint16_t)n;
  return true;
}

static bool same_reserved(const char *a, const char *b) {
  char name_a[WR_HOST_MAX + 1];
  char name_b[WR_HOST_MAX + 1];
  return wr_reserved_name(a, name_a) && wr_reserved_name(b, name_b) &&
         strcmp(name_a, name_b) == 0;
}

static bool permits_port(const wr_permit *p, uint16_t port) {
  return p->port == 0 || p->port == port;
}

bool wr_keyopts_may_open(const wr_keyopts *o, const char *host, uint16_t port) {
  bool found = o->n_opens == 0;
  for (size_t i = 0; !found && i < o->n_opens; i++) {
    const wr_permit *p = &o->opens[i];
    found = permits_port(p, port) &&
            (strcmp(p->host, "*") == 0 || strcmp(p->host, host) == 0 ||
             same_reserved(p->host, host));
  }
  return found && o->port_forwarding;
}

bool wr_keyopts_may_open_unix(const wr_keyopts *o) {
  return o->port_forwarding && o->n_opens == 0;
}

/* Patterns are not brought into lower case, as in sshd. */
static bool permits_listen(const wr_permit *p, const char *host,
                           wr_slice lower) {
  return wr_match_pattern(wr_slice_of(p->host), lower) ||
         same_reserved(p->host, host);
}

bool wr_keyopts_may_listen(const wr_keyopts *o, const char *host,
                           uint16_t port) {
  uint8_t lower[WR_HOST_MAX];
  size_t len = strlen(host);
  bool found = o->n_listens == 0;
  if (len > sizeof(lower)) {
    return false;
  }
  for (size_t i = 0; i < len; i++) {
    lower[i] = wr_lower((uint8_t)host[i]);
  }
  for (size_t i = 0; !found && i < o->n_listens; i++) {
    const wr_permit *p = &o->listens[i];
    found = permits_port(p, port) &&
            permits_listen(p, host, (wr_slice){lower, len});
  }
  return found && o->port_forwarding;
}

bool wr_keyopts_may_listen_unix(const wr_keyopts *o) {
  return o->port_forwarding && o->n_listens == 0;
}
