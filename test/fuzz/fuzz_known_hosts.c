/* known_hosts: the first line of the input is the host to ask for, the rest the
   file. The verdict goes with the line it names, a certificate is never known
   less than the key in it, and lines that are written for the host are found
   again, wherever they can be. */

#include <string.h>

#include "base/errors.h"
#include "ssh/cert.h"
#include "ssh/key_internal.h"
#include "ssh/known_hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1000
#define NAME "host"

/* A key, and a certificate of it for NAME; made once. The keys are fixed, so
   that a corpus can hold their lines. */
static struct {
  wr_mem mem;
  wr_key *key;
  wr_key *authority;
  wr_buf certificate;
} made;

typedef struct input {
  wr_mem mem;
  char *host;
  wr_slice text;
} input;

static wr_key *key_of(uint8_t fill) {
  uint8_t seed[WR__SEED_SIZE];
  wr_key *key = NULL;
  memset(seed, fill, sizeof(seed));
  WR_ASSERT(wr__key_from_seed(&made.mem, seed, &key) == 0);
  return key;
}

static wr_slice slice_of(const wr_buf *b) {
  return (wr_slice){b->data, b->len};
}

static void make(void) {
  static const char names[] = "\0\0\0\x04" NAME;
  wr_buf *b = &made.certificate;
  wr_buf sig;
  wr_mem_init(&made.mem);
  made.key = key_of(1);
  made.authority = key_of(2);
  wr_slice key = wr_key_blob(made.key);
  wr_slice authority = wr_key_blob(made.authority);
  wr_buf_init(b, &made.mem, SIZE_MAX);
  wr_buf_init(&sig, &made.mem, SIZE_MAX);
  int err = wr_buf_put_cstring(b, WR_CERT_ED25519);
  err |= wr_buf_put_cstring(b, "nonce");
  err |= wr_buf_append(b, key.data + 15, key.len - 15);
  err |= wr_buf_put_u64(b, 1);
  err |= wr_buf_put_u32(b, WR_CERT_HOST);
  err |= wr_buf_put_cstring(b, "id");
  err |= wr_buf_put_string(b, names, sizeof(names) - 1);
  err |= wr_buf_put_u64(b, 0);
  err |= wr_buf_put_u64(b, UINT64_MAX);
  for (int i = 0; i < 3; i++) {
    err |= wr_buf_put_cstring(b, "");
  }
  err |= wr_buf_put_string(b, authority.data, authority.len);
  err |= wr_key_sign(made.authority, b->data, b->len, &sig);
  err |= wr_buf_put_string(b, sig.data, sig.len);
  WR_ASSERT(err == 0);
  wr_buf_reset(&sig);
}

static wr_known_verdict ask(const input *in, wr_slice text, uint16_t port,
                            wr_slice blob) {
  wr_known_answer a;
  WR_ASSERT(wr_known_hosts_check((const char *)text.data, text.len, in->host,
                                 port, blob, NOW, &a) == 0);
  bool lined = a.verdict == WR_KNOWN_MISMATCH || a.verdict == WR_KNOWN_REVOKED;
  WR_ASSERT((a.line != 0) == lined);
  WR_ASSERT(a.why == NULL || a.verdict != WR_KNOWN_MATCH);
  return a.verdict;
}

static void check_file(input *in, uint16_t port) {
  wr_buf types;
  wr_known_verdict plain = ask(in, in->text, port, wr_key_blob(made.key));
  wr_known_verdict certified =
      ask(in, in->text, port, slice_of(&made.certificate));
  WR_ASSERT(plain != WR_KNOWN_MATCH || certified == WR_KNOWN_MATCH ||
            certified == WR_KNOWN_REVOKED);
  WR_ASSERT(plain != WR_KNOWN_REVOKED || certified != WR_KNOWN_UNKNOWN);
  wr_buf_init(&types, &in->mem, WR_KEY_FILE_MAX);
  WR_ASSERT(wr_known_hosts_types((const char *)in->text.data, in->text.len,
                                 in->host, port, &types) == 0);
  /* Whoever has a key of the host asks for it first. */
  WR_ASSERT(types.len > 0 || certified != WR_KNOWN_MATCH);
  wr_buf_reset(&types);
}

/* The line of a first contact behind the file: a match, unless the key is revoked
   there. One of the authority: likewise for the host that is named. */
static void check_line(input *in, uint16_t port, bool authority) {
  wr_buf all;
  wr_slice known = wr_key_blob(authority ? made.authority : made.key);
  wr_slice blob = authority ? slice_of(&made.certificate) : known;
  const char *marker = authority ? "\n@cert-authority " : "\n";
  wr_buf_init(&all, &in->mem, SIZE_MAX);
  WR_ASSERT(wr_buf_append(&all, in->text.data, in->text.len) == 0);
  WR_ASSERT(wr_buf_append(&all, marker, strlen(marker)) == 0);
  if (wr_known_hosts_line(in->host, port, known, &all) == 0) {
    wr_known_verdict v = ask(in, slice_of(&all), port, blob);
    bool named = !authority || strcmp(in->host, NAME) == 0;
    WR_ASSERT(!named || v == WR_KNOWN_MATCH || v == WR_KNOWN_REVOKED);
  }
  wr_buf_reset(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint16_t ports[] = {22, 2222};
  const uint8_t *lf = size == 0 ? NULL : memchr(data, '\n', size);
  input in;
  if (lf == NULL) {
    return 0;
  }
  if (made.key == NULL) {
    make();
  }
  size_t host_len = (size_t)(lf - data);
  wr_mem_init(&in.mem);
  in.text = (wr_slice){lf + 1, size - host_len - 1};
  in.host = wr_strndup(&in.mem, (const char *)data, host_len);
  WR_ASSERT(in.host != NULL);
  for (size_t i = 0; i < WR_COUNTOF(ports); i++) {
    check_file(&in, ports[i]);
    check_line(&in, ports[i], false);
    check_line(&in, ports[i], true);
  }
  wr_free(&in.mem, in.host);
  WR_ASSERT(in.mem.live_blocks == 0);
  return 0;
}
