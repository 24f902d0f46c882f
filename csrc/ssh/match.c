#include "ssh/match.h"

#include <string.h>

#include "base/wire.h"
#include "net/addr.h"

/* Longer than any name of the DNS. */
#define PATTERN_MAX 1024
/* An entry of `source-address` is not longer: IPv6 with IPv4 at its end, and a
   mask. */
#define SOURCE_ENTRY_MAX 49

typedef enum entry_kind {
  ENTRY_PATTERN = 1, /* to compare with the address as text */
  ENTRY_NETWORK,     /* an address or a network */
  ENTRY_BAD          /* empty, or a network with host bits */
} entry_kind;

/* One of a list of addresses. */
typedef struct entry {
  entry_kind kind;
  bool negated;
  wr_slice text; /* without the '!' */
  wr_cidr net;   /* of a network */
  bool scoped;   /* a network with '%' */
} entry;

/* Whose address is to be found in a list. */
typedef struct peer {
  char text[WR_ADDR_TEXT_MAX]; /* lower case */
  bool is_ip;                  /* else a text of the application's */
  wr_ip ip;                    /* IPv6 stays that, but for IPv4 inside of it */
  bool scoped;
} peer;

/* PATTERNS */

/* Only the last '*' is ever tried again, so time is at most the product of the
   two lengths. fold: letters of the pattern are taken in lower case. */
static bool match(wr_slice pattern, wr_slice text, bool fold) {
  size_t p = 0;
  size_t s = 0;
  size_t star = SIZE_MAX; /* behind the last '*' */
  size_t star_s = 0;      /* where the text behind it was tried */
  while (s < text.len) {
    uint8_t c = p < pattern.len ? pattern.data[p] : 0;
    if (p < pattern.len && c == '*') {
      star = ++p;
      star_s = s;
    } else if (p < pattern.len &&
               (c == '?' || (fold ? wr_lower(c) : c) == text.data[s])) {
      p++;
      s++;
    } else if (star != SIZE_MAX) {
      p = star;
      s = ++star_s;
    } else {
      return false;
    }
  }
  while (p < pattern.len && pattern.data[p] == '*') {
    p++;
  }
  return p == pattern.len;
}

/* The text up to the first comma; the list goes on behind that. */
static wr_slice next_item(wr_slice *list) {
  const uint8_t *comma = memchr(list->data, ',', list->len);
  wr_slice item = {list->data,
                   comma == NULL ? list->len : (size_t)(comma - list->data)};
  size_t skip = comma == NULL ? item.len : item.len + 1;
  list->data += skip;
  list->len -= skip;
  return item;
}

/* Takes the '!' off. */
static bool take_negation(wr_slice *item) {
  if (item->len == 0 || item->data[0] != '!') {
    return false;
  }
  item->data++;
  item->len--;
  return true;
}

bool wr_match_pattern(wr_slice pattern, wr_slice text) {
  return match(pattern, text, false);
}

wr_match wr_match_list(wr_slice list, wr_slice text) {
  wr_match found = WR_MATCH_NO;
  while (list.len > 0) {
    wr_slice item = next_item(&list);
    bool negated = take_negation(&item);
    if (item.len >= PATTERN_MAX) {
      return WR_MATCH_NO;
    }
    if (match(item, text, true)) {
      if (negated) {
        return WR_MATCH_NEGATED;
      }
      found = WR_MATCH_YES;
    }
  }
  return found;
}

bool wr_match_name(wr_slice list, wr_slice text) {
  while (list.len > 0) {
    wr_slice name = next_item(&list);
    if (name.len > 0 && wr_slice_same(name, text)) {
      return true;
    }
  }
  return false;
}

/* ADDRESSES */

/* Splits "address%scope/bits" in place; false if the bits are no number. */
static bool read_parts(char *text, entry *e, uint64_t *bits) {
  char *slash = strchr(text, '/');
  if (slash != NULL) {
    *slash++ = '\0';
    if (wr_parse_uint(slash, strlen(slash), 128, bits) != 0) {
      return false;
    }
  }
  char *scope = strchr(text, '%');
  e->scoped = scope != NULL;
  if (scope != NULL) {
    *scope = '\0';
  }
  return true;
}

/* What is no address at all is a pattern, as in OpenSSH. */
static entry_kind read_network(entry *e) {
  char text[WR_ADDR_TEXT_MAX];
  uint64_t bits = UINT64_MAX;
  if (e->text.len == 0) {
    return ENTRY_BAD;
  }
  if (e->text.len >= sizeof(text)) {
    return ENTRY_PATTERN;
  }
  memcpy(text, e->text.data, e->text.len);
  text[e->text.len] = '\0';
  if (!read_parts(text, e, &bits) || wr_ip_parse_as_is(text, &e->net.ip) != 0 ||
      (e->scoped && e->net.ip.family == 4)) {
    return ENTRY_PATTERN;
  }
  unsigned width = e->net.ip.family == 4 ? 32 : 128;
  if (bits == UINT64_MAX) {
    bits = width;
  }
  if (bits > width) {
    return ENTRY_BAD;
  }
  e->net.bits = (uint8_t)bits;
  return wr_cidr_is_network(&e->net) ? ENTRY_NETWORK : ENTRY_BAD;
}

static entry next_entry(wr_slice *list) {
  entry e = {.text = next_item(list)};
  e.negated = take_negation(&e.text);
  e.kind = read_network(&e);
  return e;
}

/* Whether there is something before, between and behind all commas. A zero byte
   would hide what is behind it. */
static bool is_list(wr_slice list) {
  return list.len > 0 && list.data[list.len - 1] != ',' &&
         !wr_slice_has_nul(list);
}

/* Brings an address into the form in which the server logs it. */
static bool read_ip(const char *address, peer *p) {
  char text[WR_ADDR_TEXT_MAX];
  struct sockaddr_storage ss;
  size_t len = strcspn(address, "%");
  memcpy(text, address, len);
  text[len] = '\0';
  p->scoped = address[len] == '%';
  if (wr_ip_parse_as_is(text, &p->ip) != 0) {
    return false;
  }
  wr_ip_to_sockaddr(&p->ip, 0, &ss);
  wr_sockaddr_host((const struct sockaddr *)&ss, text);
  if (wr_ip_parse_as_is(text, &p->ip) != 0 ||
      (p->scoped && p->ip.family == 4)) {
    return false;
  }
  return snprintf(p->text, sizeof(p->text), "%s%s", text, address + len) <
         (int)sizeof(p->text);
}

/* false: nothing can match it. */
static bool read_peer(const char *address, peer *p) {
  size_t len = strlen(address);
  if (len == 0 || len >= sizeof(p->text)) {
    return false;
  }
  p->is_ip = read_ip(address, p);
  if (!p->is_ip) {
    memcpy(p->text, address, len + 1);
  }
  for (char *c = p->text; *c != '\0'; c++) {
    *c = (char)wr_lower((uint8_t)*c);
  }
  return true;
}

/* sshd takes an address with a scope for another one than that without, so only
   the text can let it in. To keep it out the number alone will do. */
static bool in_network(const entry *e, const peer *p) {
  return e->kind == ENTRY_NETWORK && p->is_ip &&
         wr_cidr_contains(&e->net, &p->ip) &&
         (e->negated || !(e->scoped || p->scoped));
}

bool wr_match_from_valid(wr_slice list) {
  bool valid = is_list(list);
  while (valid && list.len > 0) {
    valid = next_entry(&list).kind != ENTRY_BAD;
  }
  return valid;
}

wr_match wr_match_from(wr_slice list, const char *address) {
  wr_match found = WR_MATCH_NO;
  peer p;
  if (!read_peer(address, &p) || !wr_match_from_valid(list)) {
    return WR_MATCH_NO;
  }
  while (list.len > 0) {
    entry e = next_entry(&list);
    if (in_network(&e, &p) || match(e.text, wr_slice_of(p.text), true)) {
      if (e.negated) {
        return WR_MATCH_NEGATED;
      }
      found = WR_MATCH_YES;
    }
  }
  return found;
}

static bool is_source(const entry *e) {
  static const char allowed[] = "0123456789abcdefABCDEF.:/";
  if (e->kind != ENTRY_NETWORK || e->negated ||
      e->text.len > SOURCE_ENTRY_MAX) {
    return false;
  }
  for (size_t i = 0; i < e->text.len; i++) {
    if (memchr(allowed, e->text.data[i], sizeof(allowed) - 1) == NULL) {
      return false;
    }
  }
  return true;
}

bool wr_match_source_valid(wr_slice list) {
  bool valid = is_list(list);
  while (valid && list.len > 0) {
    entry e = next_entry(&list);
    valid = is_source(&e);
  }
  return valid;
}

bool wr_match_source(wr_slice list, const char *address) {
  bool found = false;
  peer p;
  if (!read_peer(address, &p) || !wr_match_source_valid(list)) {
    return false;
  }
  while (!found && list.len > 0) {
    entry e = next_entry(&list);
    found = in_network(&e, &p);
  }
  return found;
}
