#include "ssh/revoked.h"

#include <string.h>

#include "base/errors.h"
#include "ssh/krl.h"

struct wr_revoked {
  wr_mem *mem;
  uint64_t seed;
  wr__keyhash hash;
  wr__revlist *lists; /* one for each file, all sealed */
};

wr_revoked *wr_revoked_new(wr_mem *mem, uint64_t seed) {
  wr_revoked *r = wr_calloc(mem, 1, sizeof(*r));
  if (r == NULL) {
    return NULL;
  }
  r->mem = mem;
  r->seed = seed;
  if (wr__keyhash_init(&r->hash) != 0) {
    wr_free(mem, r);
    return NULL;
  }
  return r;
}

void wr_revoked_free(wr_revoked *r) {
  if (r == NULL) {
    return;
  }
  while (r->lists != NULL) {
    wr__revlist *next = r->lists->next;
    wr__revlist_free(r->lists);
    r->lists = next;
  }
  wr__keyhash_reset(&r->hash);
  wr_free(r->mem, r);
}

/* Reading a text. */
typedef struct reader {
  wr__revlist *list;
  const wr__keyhash *hash;
  wr_buf blob; /* of the line at hand */
} reader;

/* In place of a certificate the key that it certifies is revoked, as sshd does
   it. */
static int add_key(reader *r, wr_slice blob) {
  wr__keyparts key;
  wr__keyhashes hashes;
  if (!wr__keyparts_read(blob, &key)) {
    return WR_EKEY_FORMAT;
  }
  if (!wr__keyhash_run(r->hash, (wr_slice){key.plain, key.plain_len},
                       &hashes)) {
    return WR_ENOMEM;
  }
  return wr__revlist_add_sha256(r->list, hashes.sha256);
}

/* A line without its line feed. */
static int read_line(reader *r, wr_slice line) {
  if (wr_slice_has_nul(line)) {
    return WR_EKEY_FORMAT;
  }
  while (line.len > 0 && line.data[line.len - 1] == '\r') {
    line.len--;
  }
  wr_slice rest = line;
  wr_slice word = wr__next_word(&rest);
  if (word.len == 0 || word.data[0] == '#') {
    return 0;
  }
  wr_buf_consume(&r->blob, r->blob.len);
  int err = wr_blob_parse_line((const char *)line.data, line.len, &r->blob);
  if (err != 0) {
    return err;
  }
  return add_key(r, (wr_slice){r->blob.data, r->blob.len});
}

/* The front of *rest up to a line feed, which is left out. */
static wr_slice next_line(wr_slice *rest) {
  const uint8_t *lf = memchr(rest->data, '\n', rest->len);
  size_t n = lf == NULL ? rest->len : (size_t)(lf - rest->data);
  size_t skip = lf == NULL ? n : n + 1;
  wr_slice line = {rest->data, n};
  rest->data += skip;
  rest->len -= skip;
  return line;
}

static int read_text(wr__revlist *list, const wr__keyhash *hash, wr_slice text,
                     size_t *line) {
  static const uint8_t mark[3] = {0xef, 0xbb, 0xbf};
  reader r = {.list = list, .hash = hash};
  size_t number = 0;
  int err = 0;
  wr_buf_init(&r.blob, list->mem, WR__KEYPARTS_MAX);
  /* The byte order mark that editors on Windows put in front. */
  if (text.len >= sizeof(mark) && memcmp(text.data, mark, sizeof(mark)) == 0) {
    text.data += sizeof(mark);
    text.len -= sizeof(mark);
  }
  while (err == 0 && text.len > 0) {
    number++;
    err = read_line(&r, next_line(&text));
  }
  wr_buf_reset(&r.blob);
  *line = err == WR_EKEY_FORMAT ? number : 0;
  return err;
}

int wr_revoked_add(wr_revoked *r, const void *data, size_t len, size_t *line) {
  wr_slice file = {data, len};
  *line = 0;
  if (len > WR_REVOKED_FILE_MAX) {
    return WR_EKEY_FORMAT;
  }
  wr__revlist *list = wr__revlist_new(r->mem, r->seed);
  if (list == NULL) {
    return WR_ENOMEM;
  }
  int err = wr__krl_is(file) ? wr__krl_read(list, &r->hash, file)
                             : read_text(list, &r->hash, file, line);
  if (err != 0) {
    wr__revlist_free(list);
    return err;
  }
  wr__revlist_seal(list);
  list->next = r->lists;
  r->lists = list;
  return 0;
}

static bool has_key(const wr_revoked *r, wr_slice plain) {
  wr__keyhashes hashes;
  if (!wr__keyhash_run(&r->hash, plain, &hashes)) {
    return true;
  }
  for (const wr__revlist *l = r->lists; l != NULL; l = l->next) {
    if (wr__revlist_has_key(l, &hashes)) {
      return true;
    }
  }
  return false;
}

static bool has_cert(const wr_revoked *r, const wr__keyparts *cert) {
  for (const wr__revlist *l = r->lists; l != NULL; l = l->next) {
    if (wr__revlist_has_cert(l, cert)) {
      return true;
    }
  }
  return false;
}

bool wr_revoked_has(const wr_revoked *r, wr_slice blob) {
  wr__keyparts key;
  if (!wr__keyparts_read(blob, &key) ||
      has_key(r, (wr_slice){key.plain, key.plain_len})) {
    return true;
  }
  return key.is_cert && (has_key(r, key.authority) || has_cert(r, &key));
}
