#ifndef WR_SSH_TRANSPORT_H
#define WR_SSH_TRANSPORT_H

#include "loop/ctx.h"
#include "ssh/key.h"

/* The SSH transport layer (RFC 4253): packets in and out of a byte stream that
   others carry. A thin wrapper: no other file about sessions includes libssh.

   Nothing here sends, receives or waits, and the transport must not be freed
   inside one of its callbacks. */
typedef struct wr_transport wr_transport;

typedef struct wr_transport_cbs {
  /* One packet above the transport layer; payload[0] is its number, and the
     memory may be modified. Not 0: the session is over. */
  int (*packet)(void *user, uint8_t *payload, size_t len);
  /* Keys are in use, the first (initial) or new ones. */
  void (*kex_done)(void *user, bool initial);
} wr_transport_cbs;

/* What a client asks for by default, best first. */
#define WR_HOST_KEY_ALGORITHMS                                                 \
  "ssh-ed25519-cert-v01@openssh.com,"                                          \
  "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"                       \
  "ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256"
/* The largest host key or certificate: RSA with 16384 bits has about 2 KiB, a
   certificate with 256 names about 10. */
#define WR_HOST_KEY_MAX ((size_t)32 * 1024)

typedef struct wr_transport_opts {
  bool server;
  const char *software;       /* printable; after "SSH-2.0-" */
  const wr_key *host_key;     /* server */
  wr_slice host_certificate;  /* server: of that key; data NULL: none */
  const char *host_key_types; /* client: algorithms; NULL: default */
  const char *kex;            /* NULL: default */
  const char *ciphers;        /* NULL: default */
  uint64_t rekey_bytes;       /* 0: the cipher's own limit */
} wr_transport_opts;

/* The largest payload of a packet that is sent, without its head. */
#define WR_PACKET_DATA_MAX ((size_t)32768)

/* 0, WR_ENOMEM, WR_EINVAL (an option that libssh does not take). cbs must live
   as long as the transport. */
WR_NODISCARD int wr__transport_new(wr_ctx *ctx, const wr_transport_opts *opts,
                                   const wr_transport_cbs *cbs, void *user,
                                   wr_transport **out);
/* For tests and fuzzing of what lies above: what is sent goes nowhere. */
WR_NODISCARD int wr__transport_new_sink(wr_ctx *ctx, wr_transport **out);
void wr__transport_free(wr_transport *tp);

/* Takes whole packets from the front of data, in place. What is left has to be
   presented again in front of newer bytes, as it is now. 0, or an error of
   WR_ESSH_VERSION, WR_EKEX_FAILED, WR_ESSH_PROTOCOL, WR_EPEER_CLOSED (it said
   so). */
WR_NODISCARD int wr__transport_input(wr_transport *tp, uint8_t *data,
                                     size_t len, size_t *consumed);
/* Bytes, from the first that was left, that make the next packet complete; 0 if
   that is not known yet. */
size_t wr__transport_wanted(wr_transport *tp);
/* The bytes to be sent, valid until anything else is sent; NULL if none. */
const uint8_t *wr__transport_output(wr_transport *tp, size_t *len);
void wr__transport_consume(wr_transport *tp, size_t n);

/* One packet, head || data; waits during a rekey. 0, or WR_ELIMIT (too much
   waits), WR_ECLOSED. */
WR_NODISCARD int wr__transport_send(wr_transport *tp, const void *head,
                                    size_t head_len, const void *data,
                                    size_t data_len);
/* Memory for the data of the next packet; NULL if there is none now. */
uint8_t *wr__transport_reserve(wr_transport *tp, size_t head_len,
                               size_t data_len);
WR_NODISCARD int wr__transport_commit(wr_transport *tp, const void *head,
                                      size_t head_len, size_t data_len);
/* Answers the packet that is being delivered. */
void wr__transport_unimplemented(wr_transport *tp);

void wr__transport_set_authenticated(wr_transport *tp);
/* True while packets wait for new keys. */
bool wr__transport_rekeying(wr_transport *tp);
void wr__transport_rekey(wr_transport *tp);
void wr__transport_trim(wr_transport *tp);

/* Empty before the first key exchange is done. */
wr_slice wr__transport_session_id(wr_transport *tp);
/* The server's key or certificate in use, appended as it was presented. */
WR_NODISCARD int wr__transport_host_key(wr_transport *tp, wr_buf *out);
/* True if the peer sent SSH_MSG_DISCONNECT. */
bool wr__transport_disconnected(wr_transport *tp, uint32_t *code);
/* Printable ASCII, borrowed; "" before it is known. */
const char *wr__transport_peer_software(wr_transport *tp);
const char *wr__transport_kex_name(wr_transport *tp);
const char *wr__transport_cipher_name(wr_transport *tp);
const char *wr__transport_mac_name(wr_transport *tp);

#endif /* !defined(WR_SSH_TRANSPORT_H) */
