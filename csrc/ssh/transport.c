#include "ssh/transport.h"

#include <string.h>

#include <libssh/carrier.h>
#include <libssh/libssh.h>

#include "base/errors.h"
#include "base/wire.h"

/* AES-GCM first: it is the fastest with the instructions of today's machines.
   Nothing with SHA-1, CBC, or a key exchange over NIST's curves. */
#define DEFAULT_KEX                                                            \
  "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org"
#define DEFAULT_CIPHERS                                                        \
  "aes256-gcm@openssh.com,aes128-gcm@openssh.com,"                             \
  "chacha20-poly1305@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr"
/* The last is for peers that know no encrypt-then-MAC. */
#define DEFAULT_MACS                                                           \
  "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256"
/* What a login may be signed with, as the server announces it. */
#define SIGNATURES "ssh-ed25519,sk-ssh-ed25519@openssh.com"

/* A private key in text; an Ed25519 key has about 400 bytes. */
#define KEY_TEXT_MAX ((size_t)4096)
#define SOFTWARE_MAX 255

struct wr_transport {
  wr_ctx *ctx;
  ssh_session ssh; /* NULL: a sink */
  bool server;
  bool keyed; /* the first key exchange is done */
  struct ssh_carrier_callbacks_struct libssh_cbs;
  const wr_transport_cbs *cbs;
  void *user;
  uint8_t *sink;                   /* memory that a sink lends for packets */
  char software[SOFTWARE_MAX + 1]; /* the peer's */
};

static int on_libssh_packet(ssh_session ssh, uint8_t *payload, size_t len,
                            void *userdata) {
  wr_transport *tp = userdata;
  WR_UNUSED(ssh);
  return tp->cbs->packet(tp->user, payload, len) == 0 ? SSH_OK : SSH_ERROR;
}

static void on_libssh_kex_done(ssh_session ssh, int initial, void *userdata) {
  wr_transport *tp = userdata;
  WR_UNUSED(ssh);
  tp->keyed = true;
  tp->cbs->kex_done(tp->user, initial != 0);
}

/* The key in the form that libssh knows. */
static int to_libssh_key(wr_ctx *ctx, const wr_key *key, ssh_key *out) {
  wr_buf text;
  wr_buf_init(&text, &ctx->mem, KEY_TEXT_MAX);
  int rc = wr_key_write_private(key, "", NULL, &text);
  if (rc == 0) {
    rc = wr_buf_put_u8(&text, 0);
  }
  if (rc == 0 && ssh_pki_import_privkey_base64((const char *)text.data, NULL,
                                               NULL, NULL, out) != SSH_OK) {
    rc = WR_EKEY_FORMAT;
  }
  wr_buf_wipe(&text);
  return rc;
}

/* Gives the key its certificate. */
static int add_certificate(wr_ctx *ctx, wr_slice blob, ssh_key key) {
  char *text = wr_alloc(&ctx->mem, wr_base64_len(blob.len) + 1);
  ssh_key certificate = NULL;
  if (text == NULL) {
    return WR_ENOMEM;
  }
  wr_base64_encode(text, blob.data, blob.len, true);
  bool ok = ssh_pki_import_cert_base64(text, SSH_KEYTYPE_ED25519_CERT01,
                                       &certificate) == SSH_OK &&
            ssh_pki_copy_cert_to_privkey(certificate, key) == SSH_OK;
  ssh_key_free(certificate);
  wr_free(&ctx->mem, text);
  return ok ? 0 : WR_EINVAL;
}

static bool set_text(ssh_session ssh, enum ssh_options_e option,
                     const char *text) {
  return ssh_options_set(ssh, option, text) == SSH_OK;
}

static int set_options(ssh_session ssh, const wr_transport_opts *opts) {
  bool no = false;
  const char *kex = opts->kex != NULL ? opts->kex : DEFAULT_KEX;
  const char *ciphers = opts->ciphers != NULL ? opts->ciphers : DEFAULT_CIPHERS;
  bool ok = ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no) == SSH_OK &&
            set_text(ssh, SSH_OPTIONS_KEY_EXCHANGE, kex) &&
            set_text(ssh, SSH_OPTIONS_CIPHERS_C_S, ciphers) &&
            set_text(ssh, SSH_OPTIONS_CIPHERS_S_C, ciphers) &&
            set_text(ssh, SSH_OPTIONS_HMAC_C_S, DEFAULT_MACS) &&
            set_text(ssh, SSH_OPTIONS_HMAC_S_C, DEFAULT_MACS) &&
            set_text(ssh, SSH_OPTIONS_COMPRESSION, "no");
  if (ok && opts->server) {
    ok = set_text(ssh, SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES, SIGNATURES);
  }
  if (ok && !opts->server) {
    ok = set_text(ssh, SSH_OPTIONS_HOSTKEYS,
                  opts->host_key_types != NULL ? opts->host_key_types
                                               : WR_HOST_KEY_ALGORITHMS);
  }
  if (ok && opts->rekey_bytes != 0) {
    uint64_t bytes = opts->rekey_bytes;
    ok = ssh_options_set(ssh, SSH_OPTIONS_REKEY_DATA, &bytes) == SSH_OK;
  }
  return ok ? 0 : WR_EINVAL;
}

static int begin_server(wr_transport *tp, const wr_transport_opts *opts) {
  ssh_key key = NULL;
  int rc = to_libssh_key(tp->ctx, opts->host_key, &key);
  if (rc == 0 && opts->host_certificate.data != NULL) {
    rc = add_certificate(tp->ctx, opts->host_certificate, key);
  }
  if (rc == 0 && ssh_carrier_accept(tp->ssh, key, opts->software,
                                    &tp->libssh_cbs) != SSH_OK) {
    rc = WR_EINVAL;
  }
  ssh_key_free(key);
  return rc;
}

static int begin(wr_transport *tp, const wr_transport_opts *opts) {
  int rc = set_options(tp->ssh, opts);
  if (rc != 0) {
    return rc;
  }
  if (opts->server) {
    return begin_server(tp, opts);
  }
  if (ssh_carrier_set_version(tp->ssh, opts->software) != SSH_OK) {
    return WR_EINVAL;
  }
  return ssh_carrier_connect(tp->ssh, &tp->libssh_cbs) == SSH_OK ? 0
                                                                 : WR_ENOMEM;
}

int wr__transport_new(wr_ctx *ctx, const wr_transport_opts *opts,
                      const wr_transport_cbs *cbs, void *user,
                      wr_transport **out) {
  wr_transport *tp = wr_calloc(&ctx->mem, 1, sizeof(*tp));
  if (tp == NULL) {
    return WR_ENOMEM;
  }
  tp->ctx = ctx;
  tp->server = opts->server;
  tp->cbs = cbs;
  tp->user = user;
  tp->libssh_cbs.packet = on_libssh_packet;
  tp->libssh_cbs.kex_done = on_libssh_kex_done;
  tp->libssh_cbs.userdata = tp;
  /* Counted by libssh; a static library has no other sure way to it. */
  if (ssh_init() != SSH_OK) {
    wr_free(&ctx->mem, tp);
    return WR_ENOMEM;
  }
  tp->ssh = ssh_new();
  int rc = tp->ssh == NULL ? WR_ENOMEM : begin(tp, opts);
  if (rc != 0) {
    wr__transport_free(tp);
    return rc;
  }
  *out = tp;
  return 0;
}

int wr__transport_new_sink(wr_ctx *ctx, wr_transport **out) {
  wr_transport *tp = wr_calloc(&ctx->mem, 1, sizeof(*tp));
  if (tp == NULL) {
    return WR_ENOMEM;
  }
  tp->ctx = ctx;
  tp->sink = wr_alloc(&ctx->mem, WR_PACKET_DATA_MAX);
  if (tp->sink == NULL) {
    wr_free(&ctx->mem, tp);
    return WR_ENOMEM;
  }
  *out = tp;
  return 0;
}

void wr__transport_free(wr_transport *tp) {
  if (tp == NULL) {
    return;
  }
  if (tp->sink == NULL) {
    ssh_free(tp->ssh);
    ssh_finalize();
  }
  wr_free(&tp->ctx->mem, tp->sink);
  wr_free(&tp->ctx->mem, tp);
}

/* Why it is over. */
static int input_error(wr_transport *tp) {
  if (ssh_carrier_peer_disconnected(tp->ssh, NULL, NULL) == 1) {
    return WR_EPEER_CLOSED;
  }
  if (tp->keyed) {
    return WR_ESSH_PROTOCOL;
  }
  const char *line = tp->server ? ssh_get_clientbanner(tp->ssh)
                                : ssh_get_serverbanner(tp->ssh);
  return line == NULL ? WR_ESSH_VERSION : WR_EKEX_FAILED;
}

int wr__transport_input(wr_transport *tp, uint8_t *data, size_t len,
                        size_t *consumed) {
  if (tp->sink != NULL) {
    *consumed = len;
    return 0;
  }
  int rc = ssh_carrier_input(tp->ssh, data, len, consumed);
  return rc == SSH_OK ? 0 : input_error(tp);
}

size_t wr__transport_wanted(wr_transport *tp) {
  return tp->sink != NULL ? 0 : ssh_carrier_wanted(tp->ssh);
}

const uint8_t *wr__transport_output(wr_transport *tp, size_t *len) {
  *len = 0;
  return tp->sink != NULL ? NULL : ssh_carrier_output(tp->ssh, len);
}

void wr__transport_consume(wr_transport *tp, size_t n) {
  ssh_carrier_output_consume(tp->ssh, n);
}

static int send_error(int rc) {
  if (rc == SSH_OK) {
    return 0;
  }
  return rc == SSH_AGAIN ? WR_ELIMIT : WR_ECLOSED;
}

int wr__transport_send(wr_transport *tp, const void *head, size_t head_len,
                       const void *data, size_t data_len) {
  if (tp->sink != NULL) {
    return 0;
  }
  return send_error(ssh_carrier_send(tp->ssh, head, head_len, data, data_len));
}

uint8_t *wr__transport_reserve(wr_transport *tp, size_t head_len,
                               size_t data_len) {
  if (tp->sink != NULL) {
    return tp->sink;
  }
  return ssh_carrier_reserve(tp->ssh, head_len, data_len);
}

int wr__transport_commit(wr_transport *tp, const void *head, size_t head_len,
                         size_t data_len) {
  if (tp->sink != NULL) {
    return 0;
  }
  return send_error(ssh_carrier_commit(tp->ssh, head, head_len, data_len));
}

void wr__transport_unimplemented(wr_transport *tp) {
  if (tp->sink == NULL) {
    (void)ssh_carrier_unimplemented(tp->ssh);
  }
}

void wr__transport_set_authenticated(wr_transport *tp) {
  if (tp->sink == NULL) {
    (void)ssh_carrier_set_authenticated(tp->ssh);
  }
}

bool wr__transport_rekeying(wr_transport *tp) {
  return tp->sink == NULL && ssh_carrier_rekeying(tp->ssh) == 1;
}

void wr__transport_rekey(wr_transport *tp) {
  if (tp->sink == NULL) {
    (void)ssh_carrier_rekey(tp->ssh);
  }
}

void wr__transport_trim(wr_transport *tp) {
  if (tp->sink == NULL) {
    ssh_carrier_trim(tp->ssh);
  }
}

wr_slice wr__transport_session_id(wr_transport *tp) {
  wr_slice id = {NULL, 0};
  if (tp->keyed) {
    id.data = ssh_carrier_session_id(tp->ssh, &id.len);
  }
  return id;
}

int wr__transport_host_key(wr_transport *tp, wr_buf *out) {
  ssh_string blob = NULL;
  if (ssh_carrier_host_key(tp->ssh, &blob) != SSH_OK) {
    return WR_ENOMEM;
  }
  size_t len = ssh_string_len(blob);
  int rc = len > WR_HOST_KEY_MAX
               ? WR_ELIMIT
               : wr_buf_append(out, ssh_string_data(blob), len);
  ssh_string_free(blob);
  return rc;
}

bool wr__transport_disconnected(wr_transport *tp, uint32_t *code) {
  *code = 0;
  return tp->sink == NULL &&
         ssh_carrier_peer_disconnected(tp->ssh, code, NULL) == 1;
}

const char *wr__transport_peer_software(wr_transport *tp) {
  if (tp->sink != NULL || tp->software[0] != '\0') {
    return tp->software;
  }
  const char *line = tp->server ? ssh_get_clientbanner(tp->ssh)
                                : ssh_get_serverbanner(tp->ssh);
  const char *text = line == NULL ? NULL : strchr(line, '-');
  text = text == NULL ? NULL : strchr(text + 1, '-');
  if (text == NULL) {
    return "";
  }
  size_t n = 0;
  for (text++; *text != '\0' && n < SOFTWARE_MAX; text++) {
    tp->software[n++] = *text >= ' ' && *text <= '~' ? *text : '?';
  }
  tp->software[n] = '\0';
  return tp->software;
}

static const char *known(const wr_transport *tp, const char *name) {
  return tp->keyed && name != NULL ? name : "";
}

const char *wr__transport_kex_name(wr_transport *tp) {
  return tp->sink != NULL ? "" : known(tp, ssh_get_kex_algo(tp->ssh));
}

const char *wr__transport_cipher_name(wr_transport *tp) {
  return tp->sink != NULL ? "" : known(tp, ssh_get_cipher_in(tp->ssh));
}

const char *wr__transport_mac_name(wr_transport *tp) {
  return tp->sink != NULL ? "" : known(tp, ssh_get_hmac_in(tp->ssh));
}
