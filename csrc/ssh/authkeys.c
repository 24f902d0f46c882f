#include "ssh/authkeys.h"

#include <string.h>

#include "base/errors.h"
#include "ssh/key_internal.h"
#include "ssh/verify.h"

/* The shortest line with a key is longer. */
#define LINE_MIN 32

/* A line with a key. */
typedef struct entry {
  wr_keyline line;
  struct entry *next; /* in the file */
  struct entry *same; /* the next one that find() is to return */
  struct entry *last; /* of the first line for a blob: the end of `same` */
  uint8_t blob[];
} entry;

struct wr_authkeys {
  wr_mem *mem;
  char *name;
  entry *entries; /* in the order of the file */
  size_t count;
  /* Blob to the first entry. */
  wr_map *logins;
  wr_map *authorities;
};

/* Reading a file. */
typedef struct reader {
  wr_authkeys *keys;
  wr_authkeys_kind kind;
  entry **end; /* where the next entry is linked */
  size_t number;
  const char *why;
  wr_buf blob; /* of the line at hand */
} reader;

/* Takes the options off the front of a line: up to the first blank that is not
   in quotes; \" is a quote within them. */
static wr_slice take_options(wr_slice *line) {
  bool quoted = false;
  size_t i = 0;
  for (; i < line->len; i++) {
    uint8_t c = line->data[i];
    if (!quoted && (c == ' ' || c == '\t')) {
      break;
    }
    if (c == '\\' && i + 1 < line->len && line->data[i + 1] == '"') {
      i++;
    } else if (c == '"') {
      quoted = !quoted;
    }
  }
  i = WR_MIN(i, line->len);
  wr_slice options = {line->data, i};
  line->data += i;
  line->len -= i;
  return options;
}

static wr_slice first_word(wr_slice line) {
  return wr__next_word(&line);
}

static int read_options(reader *r, wr_slice options, wr_keyopts *opts) {
  if (r->kind == WR_AUTHKEYS_AUTHORITIES) {
    r->why = "a file of authorities has no options";
    return WR_EKEY_OPTIONS;
  }
  return wr_keyopts_parse(r->keys->mem, (const char *)options.data, options.len,
                          opts, &r->why);
}

static bool is_login_type(wr_slice type) {
  return wr_slice_eq(type, WR__ED25519) || wr_slice_eq(type, WR__SK_ED25519);
}

static bool is_signing_type(wr_slice type) {
  static const char *const others[] = {"ssh-rsa", "ecdsa-sha2-nistp256",
                                       "ecdsa-sha2-nistp384",
                                       "ecdsa-sha2-nistp521"};
  for (size_t i = 0; i < WR_COUNTOF(others); i++) {
    if (wr_slice_eq(type, others[i])) {
      return true;
    }
  }
  return is_login_type(type);
}

/* Takes opts over on success. */
static int add_entry(reader *r, const wr_keyopts *opts, bool authority) {
  wr_authkeys *keys = r->keys;
  wr_map *map = authority ? keys->authorities : keys->logins;
  size_t len = r->blob.len;
  entry *first = wr_map_get(map, r->blob.data, len);
  entry *e = wr_alloc(keys->mem, sizeof(*e) + len);
  if (e == NULL) {
    return WR_ENOMEM;
  }
  memcpy(e->blob, r->blob.data, len);
  if (first == NULL) {
    int err = wr_map_set(map, e->blob, len, e);
    if (err != 0) {
      wr_free(keys->mem, e);
      return err == WR_ELIMIT ? WR_EKEY_FORMAT : err;
    }
    first = e;
  } else {
    first->last->same = e;
  }
  e->line = (wr_keyline){keys->name, r->number, {e->blob, len}, *opts};
  e->next = NULL;
  e->same = NULL;
  first->last = e;
  *r->end = e;
  r->end = &e->next;
  keys->count++;
  return 0;
}

/* The key at the front of the line. Takes opts over on success. */
static int read_key(reader *r, wr_slice line, const wr_keyopts *opts) {
  bool authority = r->kind == WR_AUTHKEYS_AUTHORITIES || opts->cert_authority;
  wr_slice type = first_word(line);
  if (authority ? !is_signing_type(type) : !is_login_type(type)) {
    return WR_EKEY_TYPE;
  }
  wr_buf_consume(&r->blob, r->blob.len);
  int err = wr_blob_parse_line((const char *)line.data, line.len, &r->blob);
  if (err != 0) {
    return err;
  }
  if (!wr_sig_key_usable((wr_slice){r->blob.data, r->blob.len})) {
    return WR_EKEY_FORMAT;
  }
  return add_entry(r, opts, authority);
}

/* Whatever stands in front of a key is taken for options, for that is what sshd
   would make of it. */
static int read_text(reader *r, wr_slice line) {
  wr_keyopts opts;
  int err = 0;
  wr_keyopts_init(&opts);
  if (!wr__key_type_known(first_word(line))) {
    wr_slice options = take_options(&line);
    if (!wr__key_type_known(first_word(line))) {
      return WR_EKEY_FORMAT;
    }
    err = read_options(r, options, &opts);
  }
  if (err == 0) {
    err = read_key(r, line, &opts);
  }
  if (err != 0) {
    wr_keyopts_reset(r->keys->mem, &opts);
  }
  return err;
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
  return line.len == 0 || line.data[0] == '#' ? 0 : read_text(r, line);
}

static int read_lines(reader *r, wr_slice text) {
  int err = 0;
  while (err == 0 && text.len > 0) {
    const uint8_t *lf = memchr(text.data, '\n', text.len);
    size_t n = lf == NULL ? text.len : (size_t)(lf - text.data);
    size_t skip = lf == NULL ? n : n + 1;
    r->number++;
    err = read_line(r, (wr_slice){text.data, n});
    text.data += skip;
    text.len -= skip;
  }
  return err;
}

static wr_authkeys *authkeys_new(wr_mem *mem, uint64_t seed, const char *name,
                                 size_t limit) {
  wr_authkeys *keys = wr_calloc(mem, 1, sizeof(*keys));
  if (keys == NULL) {
    return NULL;
  }
  keys->mem = mem;
  keys->name = wr_strdup(mem, name);
  keys->logins = wr_map_new(mem, seed, limit);
  keys->authorities = wr_map_new(mem, seed, limit);
  if (keys->name == NULL || keys->logins == NULL || keys->authorities == NULL) {
    wr_authkeys_free(keys);
    return NULL;
  }
  return keys;
}

int wr_authkeys_parse(wr_mem *mem, uint64_t seed, wr_authkeys_kind kind,
                      const char *name, const char *text, size_t len,
                      wr_authkeys **out, wr_authkeys_error *error) {
  wr_slice all = {(const uint8_t *)text, len};
  *error = (wr_authkeys_error){0};
  if (len > WR_AUTHKEYS_FILE_MAX) {
    return WR_EKEY_FORMAT;
  }
  /* The byte order mark that editors on Windows put in front. */
  if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
    all.data += 3;
    all.len -= 3;
  }
  reader r = {.keys = authkeys_new(mem, seed, name, len / LINE_MIN + 1),
              .kind = kind};
  if (r.keys == NULL) {
    return WR_ENOMEM;
  }
  r.end = &r.keys->entries;
  wr_buf_init(&r.blob, mem, WR__BLOB_MAX);
  int err = read_lines(&r, all);
  wr_buf_reset(&r.blob);
  if (err != 0) {
    *error = (wr_authkeys_error){err == WR_ENOMEM ? 0 : r.number, r.why};
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
  while (keys->entries != NULL) {
    entry *e = keys->entries;
    keys->entries = e->next;
    wr_keyopts_reset(keys->mem, &e->line.opts);
    wr_free(keys->mem, e);
  }
  wr_map_free(keys->logins);
  wr_map_free(keys->authorities);
  wr_free(keys->mem, keys->name);
  wr_free(keys->mem, keys);
}

const wr_keyline *wr_authkeys_find(const wr_authkeys *keys, wr_slice blob,
                                   bool authority, const wr_keyline *after) {
  const entry *e =
      after != NULL ? wr_container_of(after, const entry, line)->same
                    : wr_map_get(authority ? keys->authorities : keys->logins,
                                 blob.data, blob.len);
  return e == NULL ? NULL : &e->line;
}

size_t wr_authkeys_count(const wr_authkeys *keys) {
  return keys->count;
}
