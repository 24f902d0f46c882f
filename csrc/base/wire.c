#include "base/wire.h"

#include <limits.h>
#include <string.h>

#include "base/errors.h"

void wr_rd_init(wr_rd *r, const void *data, size_t len) {
  *r = (wr_rd){.p = data, .left = len};
}

/* The next n > 0 bytes, NULL if there are fewer. From then on nothing is left,
   so that loops over r->left end too. */
static const uint8_t *take(wr_rd *r, size_t n) {
  if (r->bad || n > r->left) {
    r->bad = true;
    r->left = 0;
    return NULL;
  }
  const uint8_t *p = r->p;
  r->p += n;
  r->left -= n;
  return p;
}

static uint64_t take_uint(wr_rd *r, size_t n) {
  const uint8_t *p = take(r, n);
  uint64_t v = 0;
  for (size_t i = 0; p != NULL && i < n; i++) {
    v = v << 8 | p[i];
  }
  return v;
}

uint8_t wr_rd_u8(wr_rd *r) {
  return (uint8_t)take_uint(r, 1);
}

uint16_t wr_rd_u16(wr_rd *r) {
  return (uint16_t)take_uint(r, 2);
}

uint32_t wr_rd_u32(wr_rd *r) {
  return (uint32_t)take_uint(r, 4);
}

uint64_t wr_rd_u64(wr_rd *r) {
  return take_uint(r, 8);
}

/* RFC 4251, section 5: every value but 0 has to be taken as true. */
bool wr_rd_bool(wr_rd *r) {
  return wr_rd_u8(r) != 0;
}

wr_slice wr_rd_bytes(wr_rd *r, size_t len) {
  if (len == 0 && !r->bad) {
    return (wr_slice){r->p, 0};
  }
  const uint8_t *p = take(r, len);
  return (wr_slice){p, p == NULL ? 0 : len};
}

wr_slice wr_rd_string(wr_rd *r) {
  uint32_t len = wr_rd_u32(r);
  return wr_rd_bytes(r, len);
}

bool wr_rd_done(const wr_rd *r) {
  return !r->bad && r->left == 0;
}

bool wr_slice_same(wr_slice a, wr_slice b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

uint8_t wr_lower(uint8_t c) {
  return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

wr_slice wr_slice_of(const char *cstr) {
  return (wr_slice){(const uint8_t *)cstr, strlen(cstr)};
}

bool wr_slice_eq(wr_slice s, const char *cstr) {
  return wr_slice_same(s, wr_slice_of(cstr));
}

bool wr_slice_eq_nocase(wr_slice s, const char *cstr) {
  if (s.len != strlen(cstr)) {
    return false;
  }
  for (size_t i = 0; i < s.len; i++) {
    if (wr_lower(s.data[i]) != wr_lower((uint8_t)cstr[i])) {
      return false;
    }
  }
  return true;
}

bool wr_slice_has_nul(wr_slice s) {
  return s.len > 0 && memchr(s.data, 0, s.len) != NULL;
}

void wr_put_u16(uint8_t *p, uint16_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

void wr_put_u32(uint8_t *p, uint32_t v) {
  wr_put_u16(p, (uint16_t)(v >> 16));
  wr_put_u16(p + 2, (uint16_t)v);
}

void wr_put_u64(uint8_t *p, uint64_t v) {
  wr_put_u32(p, (uint32_t)(v >> 32));
  wr_put_u32(p + 4, (uint32_t)v);
}

uint32_t wr_get_u32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
         p[3];
}

size_t wr_base64_len(size_t n) {
  return (n / 3 + (n % 3 != 0)) * 4;
}

size_t wr_base64_encode(char *dst, const uint8_t *src, size_t n, bool padded) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789+/";
  char *out = dst;
  for (size_t i = 0; i < n; i += 3) {
    size_t have = WR_MIN(n - i, 3);
    uint32_t v = (uint32_t)src[i] << 16;
    v |= have > 1 ? (uint32_t)src[i + 1] << 8 : 0;
    v |= have > 2 ? src[i + 2] : 0U;
    for (size_t k = 0; k <= have; k++) {
      *out++ = digits[v >> (18 - 6 * k) & 63];
    }
    for (size_t k = have; padded && k < 3; k++) {
      *out++ = '=';
    }
  }
  *out = '\0';
  return (size_t)(out - dst);
}

/* 0 to 63, or -1. By ranges and not by a table: what is decoded may be a key,
   and table look-ups leave traces in the cache. */
static int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') {
    return c - 'A';
  }
  if (c >= 'a' && c <= 'z') {
    return c - 'a' + 26;
  }
  if (c >= '0' && c <= '9') {
    return c - '0' + 52;
  }
  if (c == '+') {
    return 62;
  }
  return c == '/' ? 63 : -1;
}

/* The length without padding; 0 where a text of that form cannot be. */
static size_t unpadded_len(const char *src, size_t len) {
  size_t n = len;
  if (len % 4 == 0 && src[n - 1] == '=') {
    n -= src[n - 2] == '=' ? 2 : 1;
  }
  return n % 4 == 1 ? 0 : n;
}

long wr_base64_decode(uint8_t *dst, const char *src, size_t len) {
  if (len == 0) {
    return 0;
  }
  size_t n = unpadded_len(src, len);
  if (n == 0 || len > LONG_MAX) {
    return WR_EMALFORMED;
  }
  uint32_t bits = 0;
  size_t have = 0;
  size_t out = 0;
  for (size_t i = 0; i < n; i++) {
    int digit = base64_digit(src[i]);
    if (digit < 0) {
      return WR_EMALFORMED;
    }
    bits = (bits << 6 | (uint32_t)digit) & 0xFFF;
    have += 6;
    if (have >= 8) {
      have -= 8;
      dst[out++] = (uint8_t)(bits >> have);
    }
  }
  /* Bits that encode nothing must be 0, else one value had several texts. */
  return (bits & ((1U << have) - 1)) != 0 ? WR_EMALFORMED : (long)out;
}

int wr_parse_uint(const char *s, size_t len, uint64_t max, uint64_t *out) {
  uint64_t v = 0;
  for (size_t i = 0; i < len; i++) {
    if (s[i] < '0' || s[i] > '9') {
      return WR_EMALFORMED;
    }
    uint64_t digit = (uint64_t)(s[i] - '0');
    if (digit > max || v > (max - digit) / 10) {
      return WR_EMALFORMED;
    }
    v = v * 10 + digit;
  }
  if (len == 0) {
    return WR_EMALFORMED;
  }
  *out = v;
  return 0;
}
