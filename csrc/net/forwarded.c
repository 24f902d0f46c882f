#include "net/forwarded.h"

#include <string.h>

#include "base/wire.h"

#define FIELD "x-forwarded-for"

/* The part behind the last comma, or all of it, which goes. */
static wr_slice cut_last(wr_slice *list) {
  size_t at = list->len;
  while (at > 0 && list->data[at - 1] != ',') {
    at--;
  }
  wr_slice last = {list->data + at, list->len - at};
  list->len = at > 0 ? at - 1 : 0;
  return wr_http_trim(last);
}

/* Without the port and the brackets that may be around it. */
static wr_slice bare(wr_slice text) {
  wr_slice host;
  wr_slice rest = text;
  if (text.len > 0 && text.data[0] == '[') {
    rest = (wr_slice){text.data + 1, text.len - 1};
    return wr_http_cut(&rest, ']', &host) ? host : text;
  }
  bool is_v4 = wr_http_cut(&rest, ':', &host) &&
               memchr(rest.data, ':', rest.len) == NULL;
  return is_v4 ? host : text;
}

/* A scope means nothing to anybody but its sender. */
static bool read_address(wr_slice text, wr_ip *ip) {
  char copy[WR_ADDR_TEXT_MAX];
  struct sockaddr_in v4 = {.sin_family = AF_INET};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
  text = bare(text);
  if (text.len >= sizeof(copy) || wr_slice_has_nul(text) ||
      (text.len > 0 && memchr(text.data, '%', text.len) != NULL)) {
    return false;
  }
  memcpy(copy, text.data, text.len);
  copy[text.len] = '\0';
  if (uv_inet_pton(AF_INET, copy, &v4.sin_addr) == 0) {
    return wr_ip_from_sockaddr((const struct sockaddr *)&v4, ip);
  }
  return uv_inet_pton(AF_INET6, copy, &v6.sin6_addr) == 0 &&
         wr_ip_from_sockaddr((const struct sockaddr *)&v6, ip);
}

/* One field's; true: go on to the one before. */
static bool walk(wr_slice list, const wr_cidr *trusted, size_t n, wr_ip *source,
                 bool *found) {
  wr_ip ip;
  while (list.len > 0) {
    if (!read_address(cut_last(&list), &ip)) {
      return false;
    }
    *source = ip;
    *found = true;
    if (!wr_cidrs_contain(trusted, n, &ip)) {
      return false;
    }
  }
  return true;
}

bool wr_forwarded_for(const wr_http_head *h, const uint8_t *text,
                      const wr_cidr *trusted, size_t n, wr_ip *source) {
  bool found = false;
  for (size_t i = h->n; i > 0; i--) {
    const wr_http_field *f = &h->fields[i - 1];
    if (wr_slice_eq_nocase(wr_http_text(text, f->name), FIELD) &&
        !walk(wr_http_text(text, f->value), trusted, n, source, &found)) {
      break;
    }
  }
  return found;
}
