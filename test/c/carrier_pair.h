#ifndef WR_TEST_C_CARRIER_PAIR_H
#define WR_TEST_C_CARRIER_PAIR_H

/* Two libssh sessions in one process, a client and a server, whose bytes a test
 * carries from one to the other (deps/patches/libssh).
 *
 * Needs no code of the core: libssh/libssh.h, libssh/carrier.h and tap.h.
 */
#include "tap.h"

#include <libssh/libssh.h>
#include <libssh/carrier.h>

#define GCM256 "aes256-gcm@openssh.com"
#define GCM128 "aes128-gcm@openssh.com"
#define CHACHA "chacha20-poly1305@openssh.com"
#define CTR "aes256-ctr"
#define ETM "hmac-sha2-256-etm@openssh.com"
#define SHA2 "hmac-sha2-256"
#define MLKEM "mlkem768x25519-sha256"
#define X25519 "curve25519-sha256"
#define SIG_ALGS "ssh-ed25519,rsa-sha2-512"

#define MSG_DISCONNECT 1
#define MSG_IGNORE 2
#define MSG_SERVICE_REQUEST 5
#define MSG_DATA 94
/* Packets carry their number and are this long at least when numbered. */
#define NUMBERED_LEN 5

TAP_UNUSED static const char *const ciphers[] = {GCM256, GCM128, CHACHA, CTR};
#define N_CIPHERS (sizeof(ciphers) / sizeof(ciphers[0]))

/* How bytes go from one peer to the other. */
typedef enum feed { FEED_WHOLE, FEED_BYTES, FEED_RANDOM } feed;

typedef struct peer {
  ssh_session s;
  struct ssh_carrier_callbacks_struct cb;
  uint8_t *in;       /* received and not consumed, an allocation of in_len */
  size_t in_len;     /* bytes in `in` */
  int error;         /* ssh_carrier_input() said SSH_ERROR */
  unsigned packets;  /* delivered */
  size_t last_len;   /* of the last packet delivered */
  uint8_t last_type; /* of the last packet delivered */
  unsigned kexes;    /* kex_done calls */
  int initial;       /* what the last of them said */
  uint32_t sent;     /* numbered packets sent */
  uint32_t received; /* numbered packets received */
  unsigned broken;   /* numbered packets that were not as expected */
  int refuse;        /* let the packet callback fail */
  int answer;        /* let the packet callback send a packet */
} peer;

typedef struct pair {
  peer client;
  peer server;
} pair;

static ssh_key host_key;
static uint64_t seed = 1;

TAP_UNUSED static uint32_t rnd(uint32_t n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(seed >> 33) % n;
}

/* Numbered packets: 94, number, a pattern of a length that follows from it. */
TAP_UNUSED static size_t numbered_len(uint32_t n) {
  static const size_t some[] = {5, 6, 17, 64, 100, 1400, 4096, 16384, 32777};

  return some[(n * 2654435761u >> 7) % (sizeof(some) / sizeof(some[0]))];
}

TAP_UNUSED static void numbered_fill(uint8_t *p, size_t len, uint32_t n) {
  size_t i;

  p[0] = MSG_DATA;
  p[1] = (uint8_t)(n >> 24);
  p[2] = (uint8_t)(n >> 16);
  p[3] = (uint8_t)(n >> 8);
  p[4] = (uint8_t)n;
  for (i = NUMBERED_LEN; i < len; i++) {
    p[i] = (uint8_t)(n + i * 7);
  }
}

TAP_UNUSED static int on_packet(ssh_session s, uint8_t *payload, size_t len,
                                void *u) {
  static const uint8_t answer[] = {MSG_DATA + 1, 2, 3};
  static uint8_t want[40000];
  peer *p = u;

  p->packets++;
  p->last_len = len;
  p->last_type = payload[0];
  if (p->refuse) {
    return SSH_ERROR;
  }
  if (p->answer) {
    return ssh_carrier_send(s, answer, sizeof(answer), NULL, 0);
  }
  if (payload[0] == MSG_DATA && len >= NUMBERED_LEN && len < sizeof(want)) {
    numbered_fill(want, len, p->received);
    if (len != numbered_len(p->received) || memcmp(payload, want, len) != 0) {
      p->broken++;
    }
    p->received++;
  }
  memset(payload, 0xaa, len); /* it is ours to modify */
  return SSH_OK;
}

TAP_UNUSED static void on_kex_done(ssh_session s, int initial, void *u) {
  peer *p = u;
  size_t len;

  p->kexes++;
  p->initial = initial;
  CHECK(ssh_carrier_session_id(s, &len) != NULL && len == 32);
}

TAP_UNUSED static void peer_init(peer *p, const char *kex, const char *cipher,
                                 const char *mac) {
  memset(p, 0, sizeof(*p));
  p->cb.packet = on_packet;
  p->cb.kex_done = on_kex_done;
  p->cb.userdata = p;
  p->s = ssh_new();
  MUST(p->s != NULL);
  MUST(ssh_options_set(p->s, SSH_OPTIONS_KEY_EXCHANGE, kex) == 0);
  MUST(ssh_options_set(p->s, SSH_OPTIONS_CIPHERS_C_S, cipher) == 0);
  MUST(ssh_options_set(p->s, SSH_OPTIONS_CIPHERS_S_C, cipher) == 0);
  MUST(ssh_options_set(p->s, SSH_OPTIONS_HMAC_C_S, mac) == 0);
  MUST(ssh_options_set(p->s, SSH_OPTIONS_HMAC_S_C, mac) == 0);
}

TAP_UNUSED static void pair_init_mac(pair *t, const char *kex,
                                     const char *cipher, const char *mac) {
  int rc;

  peer_init(&t->client, kex, cipher, mac);
  peer_init(&t->server, kex, cipher, mac);
  rc = ssh_options_set(t->server.s, SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES,
                       SIG_ALGS);
  MUST(rc == 0);
  MUST(ssh_carrier_set_version(t->client.s, "Client_1") == SSH_OK);
  MUST(ssh_carrier_connect(t->client.s, &t->client.cb) == SSH_OK);
  rc = ssh_carrier_accept(t->server.s, host_key, "Server_1", &t->server.cb);
  MUST(rc == SSH_OK);
}

TAP_UNUSED static void pair_init(pair *t, const char *kex, const char *cipher) {
  pair_init_mac(t, kex, cipher, ETM);
}

TAP_UNUSED static void peer_free(peer *p) {
  ssh_free(p->s);
  free(p->in);
  memset(p, 0, sizeof(*p));
}

TAP_UNUSED static void pair_free(pair *t) {
  peer_free(&t->client);
  peer_free(&t->server);
}

/* Gives bytes to a peer; what it leaves is kept, at another address. */
TAP_UNUSED static void give(peer *to, const uint8_t *data, size_t len) {
  uint8_t *all = malloc(to->in_len + len + 1);
  size_t consumed = 0;

  MUST(all != NULL);
  if (to->in_len > 0) {
    memcpy(all, to->in, to->in_len);
  }
  memcpy(all + to->in_len, data, len);
  free(to->in);
  len += to->in_len;
  to->in = malloc(len + 1);
  MUST(to->in != NULL);
  memcpy(to->in, all, len);
  free(all);
  all = malloc(len);
  MUST(all != NULL);
  memcpy(all, to->in, len);
  if (ssh_carrier_input(to->s, all, len, &consumed) != SSH_OK) {
    to->error = 1;
  }
  MUST(consumed <= len);
  to->in_len = len - consumed;
  memcpy(to->in, all + consumed, to->in_len);
  free(all);
}

/* Up to `limit` bytes of output go over. Returns how many. */
TAP_UNUSED static size_t move_some(peer *from, peer *to, feed how,
                                   size_t limit) {
  size_t len, n, done;
  const uint8_t *out = ssh_carrier_output(from->s, &len);
  uint8_t *copy = NULL;

  if (len > limit) {
    len = limit;
  }
  if (len == 0) {
    return 0;
  }
  copy = malloc(len);
  MUST(copy != NULL);
  memcpy(copy, out, len);
  ssh_carrier_output_consume(from->s, len);
  for (done = 0; done < len && !to->error; done += n) {
    n = len - done;
    if (how == FEED_BYTES) {
      n = 1;
    } else if (how == FEED_RANDOM && n > 1) {
      n = 1 + rnd((uint32_t)(n < 5000 ? n : 5000));
    }
    give(to, copy + done, n);
  }
  free(copy);
  return len;
}

TAP_UNUSED static size_t move(peer *from, peer *to, feed how) {
  return move_some(from, to, how, SIZE_MAX);
}

TAP_UNUSED static void exchange(pair *t, feed how) {
  size_t moved;

  do {
    moved = move(&t->client, &t->server, how);
    moved += move(&t->server, &t->client, how);
  } while (moved > 0);
}

/* A pair after the first key exchange. */
TAP_UNUSED static void pair_ready(pair *t, const char *kex,
                                  const char *cipher) {
  pair_init(t, kex, cipher);
  exchange(t, FEED_WHOLE);
  MUST(t->client.kexes == 1 && t->server.kexes == 1);
}

TAP_UNUSED static void pair_authenticated(pair *t, const char *kex,
                                          const char *cipher) {
  pair_ready(t, kex, cipher);
  MUST(ssh_carrier_set_authenticated(t->client.s) == SSH_OK);
  MUST(ssh_carrier_set_authenticated(t->server.s) == SSH_OK);
}

TAP_UNUSED static int send_numbered(peer *p) {
  static uint8_t data[40000];
  uint32_t n = p->sent;
  size_t len = numbered_len(n), head = 1 + n % NUMBERED_LEN;
  uint8_t *room = NULL;
  int rc;

  numbered_fill(data, len, n);
  if (n % 3 == 0) {
    room = ssh_carrier_reserve(p->s, head, len - head + n % 100);
  }
  if (room != NULL) {
    memcpy(room, data + head, len - head);
    rc = ssh_carrier_commit(p->s, data, head, len - head);
  } else {
    rc = ssh_carrier_send(p->s, data, head, data + head, len - head);
  }
  p->sent++;
  return rc;
}

TAP_UNUSED static void check_pair_complete(const pair *t) {
  EQ_UINT(t->server.received, t->client.sent);
  EQ_UINT(t->client.received, t->server.sent);
  EQ_UINT(t->server.broken + t->client.broken, 0);
  EQ_INT(t->client.error, 0);
  EQ_INT(t->server.error, 0);
}

TAP_UNUSED static void check_handshake(pair *t, const char *kex,
                                       const char *cipher) {
  const uint8_t *a = NULL, *b = NULL;
  size_t a_len, b_len;
  ssh_key key = NULL;

  EQ_UINT(t->client.kexes, 1);
  EQ_UINT(t->server.kexes, 1);
  EQ_INT(t->client.initial, 1);
  EQ_STR(ssh_get_kex_algo(t->client.s), kex);
  EQ_STR(ssh_get_kex_algo(t->server.s), kex);
  EQ_STR(ssh_get_cipher_in(t->client.s), cipher);
  EQ_STR(ssh_get_cipher_out(t->client.s), cipher);
  EQ_STR(ssh_get_cipher_in(t->server.s), cipher);
  EQ_STR(ssh_get_hmac_in(t->client.s), ssh_get_hmac_out(t->server.s));
  EQ_STR(ssh_get_serverbanner(t->client.s), "SSH-2.0-Server_1");
  EQ_STR(ssh_get_clientbanner(t->server.s), "SSH-2.0-Client_1");
  EQ_STR(ssh_carrier_peer_sig_algs(t->client.s), SIG_ALGS);
  CHECK(ssh_carrier_peer_sig_algs(t->server.s) == NULL);
  CHECK(ssh_is_connected(t->client.s));
  a = ssh_carrier_session_id(t->client.s, &a_len);
  b = ssh_carrier_session_id(t->server.s, &b_len);
  EQ_MEM(a, a_len, b, b_len);
  if (CHECK(ssh_get_server_publickey(t->client.s, &key) == SSH_OK)) {
    EQ_INT(ssh_key_cmp(key, host_key, SSH_KEY_CMP_PUBLIC), 0);
  }
  ssh_key_free(key);
  CHECK(ssh_get_fd(t->client.s) == SSH_INVALID_SOCKET);
}

/* Every length gets through and arrives as it was. */
TAP_UNUSED static void check_sizes(pair *t, feed how, size_t from, size_t to,
                                   size_t step) {
  static const uint8_t head[] = {MSG_DATA + 1, 9, 8, 7};
  static uint8_t data[300000];
  peer *ends[2] = {&t->client, &t->server};
  size_t len;

  memset(data, 0x5a, sizeof(data));
  for (len = from; len <= to; len += step) {
    size_t i, head_len = 1 + len % sizeof(head);

    head_len = head_len > len ? len : head_len;
    for (i = 0; i < 2; i++) {
      peer *a = ends[i], *b = ends[1 - i];
      unsigned before = b->packets;
      int rc;

      rc = ssh_carrier_send(a->s, head, head_len, data, len - head_len);
      EQ_INT(rc, SSH_OK);
      move(a, b, how);
      EQ_UINT(b->packets, before + 1);
      EQ_UINT(b->last_len, len);
    }
  }
}

TAP_UNUSED static void carrier_set_up(void) {
  if (host_key == NULL) {
    MUST(ssh_init() == 0);
    MUST(ssh_pki_generate_key(SSH_KEYTYPE_ED25519, NULL, &host_key) == SSH_OK);
  }
}

TAP_UNUSED static void carrier_tear_down(void) {}

#endif /* !defined(WR_TEST_C_CARRIER_PAIR_H) */
