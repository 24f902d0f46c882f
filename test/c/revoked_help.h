/* Public keys and certificates in files, and one answer about each from the
   real ssh-keygen and one from wr_revoked. Header only; kg_set_up() first. */
#ifndef WR_TEST_C_REVOKED_HELP_H
#define WR_TEST_C_REVOKED_HELP_H

#include "base/errors.h"
#include "base/wire.h"
#include "ssh/key.h"
#include "ssh/revoked.h"
#include "ssh_keygen.h"

#define RV_FILES_MAX 128
#define RV_FILE_MAX ((size_t)128 * 1024)

static struct {
  wr_mem mem;
  char names[RV_FILES_MAX][64]; /* files with a public key or certificate */
  size_t count;
  bool present;               /* ssh-keygen is there */
  uint8_t bytes[RV_FILE_MAX]; /* the file read last */
} rv TAP_UNUSED;

TAP_UNUSED static void rv_set_up(void) {
  wr_mem_init(&rv.mem);
  rv.count = 0;
  kg_set_up();
  rv.present = kg_present();
}

TAP_UNUSED static void rv_tear_down(void) {
  EQ_UINT(rv.mem.live_blocks, 0);
  kg_tear_down();
}

TAP_UNUSED static void rv_name(const char *name) {
  MUST(rv.count < RV_FILES_MAX && strlen(name) < sizeof(rv.names[0]));
  strcpy(rv.names[rv.count++], name);
}

/* From a block of exactly this size, so that a sanitizer sees what is read
   behind it. */
TAP_UNUSED static int rv_add(wr_revoked *r, const void *data, size_t len,
                             size_t *line) {
  void *copy = malloc(len == 0 ? 1 : len);
  MUST(copy != NULL);
  memcpy(copy, data, len);
  int err = wr_revoked_add(r, copy, len, line);
  free(copy);
  return err;
}

/* NULL if it was refused. */
TAP_UNUSED static wr_revoked *rv_make(const void *data, size_t len) {
  size_t line = 99;
  wr_revoked *r = wr_revoked_new(&rv.mem, 42);
  MUST(r != NULL);
  int err = rv_add(r, data, len, &line);
  if (err != 0) {
    EQ_INT(err, WR_EKEY_FORMAT);
    wr_revoked_free(r);
    return NULL;
  }
  EQ_UINT(line, 0);
  return r;
}

TAP_UNUSED static size_t rv_read(const char *file) {
  return kg_read(file, (char *)rv.bytes, sizeof(rv.bytes));
}

TAP_UNUSED static wr_revoked *rv_load(const char *file) {
  return rv_make(rv.bytes, rv_read(file));
}

/* The blob in a file with one public key; wr_buf_reset() it. */
TAP_UNUSED static wr_buf rv_blob(const char *file) {
  char text[16384];
  wr_buf blob;
  size_t len = kg_read(file, text, sizeof(text));
  wr_buf_init(&blob, &rv.mem, sizeof(text));
  MUST(wr_blob_parse_line(text, len, &blob) == 0);
  return blob;
}

TAP_UNUSED static int rv_has(const wr_revoked *r, const char *file) {
  wr_buf blob = rv_blob(file);
  uint64_t total = rv.mem.total;
  int has = wr_revoked_has(r, (wr_slice){blob.data, blob.len});
  EQ_UINT(rv.mem.total, total);
  wr_buf_reset(&blob);
  return has;
}

/* A file of one public key from a blob. */
TAP_UNUSED static void rv_write_blob(const char *file, wr_slice blob) {
  wr_buf text;
  wr_buf_init(&text, &rv.mem, RV_FILE_MAX);
  MUST(wr_key_write_public(blob, NULL, &text) == 0);
  kg_write(file, text.data, text.len);
  wr_buf_reset(&text);
}

/* What the last ssh-keygen -Q said of a file: 1 revoked, 0 not, -1 nothing. */
TAP_UNUSED static int rv_said(const char *name) {
  char start[600];
  snprintf(start, sizeof(start), "%s (", kg_path(name));
  const char *at = strstr(kg.out, start);
  if (at == NULL) {
    return -1;
  }
  const char *end = at + strcspn(at, "\n");
  return strncmp(end - 9, ": REVOKED", 9) == 0 ? 1
         : strncmp(end - 4, ": ok", 4) == 0    ? 0
                                               : -1;
}

/* ssh-keygen -Q of all files; 0 none is revoked, 1 some are, 255 the list is
   refused. */
TAP_UNUSED static int rv_query(const char *krl) {
  static char paths[RV_FILES_MAX][512];
  const char *argv[RV_FILES_MAX + 5] = {"ssh-keygen", "-Q", "-f", kg_path(krl)};
  for (size_t i = 0; i < rv.count; i++) {
    strcpy(paths[i], kg_path(rv.names[i]));
    argv[4 + i] = paths[i];
  }
  /* The path of the list was one of the few that stay. */
  static char list[512];
  strcpy(list, kg_path(krl));
  argv[3] = list;
  return kg_run(argv);
}

/* The same answers about all files; how many are revoked. */
TAP_UNUSED static int rv_compare(const char *krl) {
  int revoked = 0;
  int code = rv_query(krl);
  if (!OK(code == 0 || code == 1, "ssh-keygen takes %s", krl)) {
    DIAG("%s", kg.out);
    return -1;
  }
  wr_revoked *r = rv_load(krl);
  if (!OK(r != NULL, "%s is taken", krl)) {
    return -1;
  }
  for (size_t i = 0; i < rv.count; i++) {
    int want = rv_said(rv.names[i]);
    if (!EQ_INT(rv_has(r, rv.names[i]), want)) {
      DIAG("%s in %s", rv.names[i], krl);
    }
    revoked += want > 0 ? 1 : 0;
  }
  wr_revoked_free(r);
  return revoked;
}

/* A new key pair, file and file.pub; 0 if this ssh-keygen makes none such. */
TAP_UNUSED static int rv_keygen(const char *file, const char *type,
                                const char *bits) {
  char name[64];
  int code = KG_RUN("ssh-keygen", "-q", "-t", type, "-b", bits, "-N", "", "-C",
                    "", "-f", kg_path(file));
  if (code != 0) {
    return 0;
  }
  snprintf(name, sizeof(name), "%s.pub", file);
  rv_name(name);
  return 1;
}

/* A certificate of file.pub by an authority, as file `cert`. */
TAP_UNUSED static void rv_certify(const char *cert, const char *file,
                                  const char *authority, const char *serial,
                                  const char *id) {
  char made[64];
  char pub[64];
  snprintf(pub, sizeof(pub), "%s.pub", file);
  snprintf(made, sizeof(made), "%s-cert.pub", file);
  MUST(KG_RUN("ssh-keygen", "-q", "-s", kg_path(authority), "-z", serial, "-I",
              id, "-n", "me,you", kg_path(pub)) == 0);
  MUST(rename(kg_path(made), kg_path(cert)) == 0);
  rv_name(cert);
}

/* ssh-keygen -k with a specification; ca: a file, "none", or NULL. */
TAP_UNUSED static void rv_krl(const char *krl, bool update, const char *ca,
                              const char *spec) {
  const char *argv[16] = {"ssh-keygen", "-q", "-k", "-f", kg_path(krl)};
  size_t n = 5;
  kg_write("spec", spec, strlen(spec));
  if (update) {
    argv[n++] = "-u";
  }
  if (ca != NULL) {
    argv[n++] = "-s";
    argv[n++] = strcmp(ca, "none") == 0 ? ca : kg_path(ca);
  }
  argv[n++] = kg_path("spec");
  if (kg_run(argv) != 0) {
    DIAG("%s", kg.out);
    tap_bail(__FILE__, __LINE__, "ssh-keygen -k");
  }
}

/* Appends "word: the line in the file" to a specification. */
TAP_UNUSED static void rv_spec(wr_buf *spec, const char *word,
                               const char *file) {
  char text[16384];
  kg_read(file, text, sizeof(text));
  MUST(wr_buf_printf(spec, "%s%s", word, text) == 0);
}

#endif /* WR_TEST_C_REVOKED_HELP_H */
