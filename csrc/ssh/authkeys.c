#include "ssh/authkeys.h"

#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"

/* The shortest line with a key is longer. */
#define LINE_MIN 64

struct wr_authkeys {
  wr_mem *mem;
  wr_map *keys; /* blob to the wr_authkeys itself: a set */
};

/* Reading a file. */
typedef struct reader {
  wr_authkeys *keys;
  wr_buf blob; /* of the line at hand */
} reader;

/* Skips the options in front of a key: up to the first blank that is not in
   quotes; \" is a quote within them. */
static wr_slice skip_options(wr_slice line) {
  bool quoted = false;
  size_t i = 0;
  for (; i < line.len; i++) {
    uint8_t c = line.data[i];
    if (!quoted && (c == ' ' || c == '\t')) {
      break;
    }
    if (c == '\\' && i + 1 < line.len && line.data[i + 1] == '"') {
      i++;
    } else if (c == '"') {
      quoted = !quoted;
    }
  }
  return (wr_slice){line.data + i, line.len - i};
}

/* Why the line is no plain Ed25519 key. Whatever stands in front of a key is
   taken for options, for that is what sshd would make of it. */
static int refuse(wr_slice type, wr_slice line) {
  if (wr__key_type_known(type)) {
    return WR_EKEY_TYPE;
  }
  wr_slice rest = skip_options(line);
  return wr__key_type_known(wr__next_word(&rest)) ? WR_EKEY_OPTIONS
                                                  : WR_EKEY_FORMAT;
}

static int read_key(reader *r, wr_slice line) {
  wr_buf_consume(&r->blob, r->blob.len);
  int err = wr_blob_parse_line((const char *)line.data, line.len, &r->blob);
  if (err != 0) {
    return err;
  }
  wr_slice blob = {r->blob.data, r->blob.len};
  if (wr__blob_ed25519(blob) == NULL) {
    return WR_EKEY_FORMAT;
  }
  err = wr_map_set(r->keys->keys, blob.data, blob.len, r->keys);
  return err == WR_ELIMIT ? WR_EKEY_FORMAT : err;
}

/* A line without its line feed. */
static int read_line(reader *r, wr_slice line) {
  if (wr_slice_has_nul(line)) {
    return WR_EKEY_FORMAT;
  }
  while (line.len > 0 && line.data[line.len - 1] == '\r') {
    line.len--;
  }
  while (line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t')) {
    line.data++;
    line.len--;
  }
  if (line.len == 0 || line.data[0] == '#') {
    return 0;
  }
  wr_slice rest = line;
  wr_slice type = wr__next_word(&rest);
  if (!wr_slice_eq(type, WR__ED25519)) {
    return refuse(type, line);
  }
  return read_key(r, line);
}

static int read_lines(reader *r, wr_slice text, size_t *line) {
  size_t number = 0;
  int err = 0;
  while (err == 0 && text.len > 0) {
    const uint8_t *lf = memchr(text.data, '\n', text.len);
    size_t n = lf == NULL ? text.len : (size_t)(lf - text.data);
    size_t skip = lf == NULL ? n : n + 1;
    number++;
    err = read_line(r, (wr_slice){text.data, n});
    text.data += skip;
    text.len -= skip;
  }
  if (err != 0) {
    *line = err == WR_ENOMEM ? 0 : number;
  }
  return err;
}

static wr_authkeys *authkeys_new(wr_mem *mem, uint64_t seed, size_t limit) {
  wr_authkeys *keys = wr_calloc(mem, 1, sizeof(*keys));
  if (keys == NULL) {
    return NULL;
  }
  keys->mem = mem;
  keys->keys = wr_map_new(mem, seed, limit);
  if (keys->keys == NULL) {
    wr_free(mem, keys);
    return NULL;
  }
  return keys;
}

int wr_authkeys_parse(wr_mem *mem, uint64_t seed, const char *text, size_t len,
                      wr_authkeys **out, size_t *line) {
  wr_slice all = {(const uint8_t *)text, len};
  *line = 0;
  if (len > WR_AUTHKEYS_FILE_MAX) {
    return WR_EKEY_FORMAT;
  }
  /* The byte order mark that editors on Windows put in front. */
  if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
    all.data += 3;
    all.len -= 3;
  }
  reader r = {.keys = authkeys_new(mem, seed, len / LINE_MIN + 1)};
  if (r.keys == NULL) {
    return WR_ENOMEM;
  }
  wr_buf_init(&r.blob, mem, WR__BLOB_MAX);
  int err = read_lines(&r, all, line);
  wr_buf_reset(&r.blob);
  if (err != 0) {
    wr_authkeys_free(r.keys);
    return err;
  }
  *out = r.keys;
  return 0;
}

void wr_authkeys_free(wr_authkeys *keys) {
  if (keys == NULL) {
    return;
  }
  wr_map_free(keys->keys);
  wr_free(keys->mem, keys);
}

bool wr_authkeys_has(const wr_authkeys *keys, wr_slice blob) {
  return wr_map_get(keys->keys, blob.data, blob.len) != NULL;
}

size_t wr_authkeys_count(const wr_authkeys *keys) {
  return wr_map_count(keys->keys);
}
