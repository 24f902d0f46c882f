/* libssh over a carrier (deps/patches/libssh): the SSH transport layer between
 * two sessions in one process, over memory. CARRIER_REKEYS in the environment
 * is how many rekeys each of the rekey tests does (1000).
 *
 * Needs no code of the core: libssh/libssh.h, libssh/carrier.h and tap.h.
 */
#include "tap.h"

#include <libssh/libssh.h>
#include <libssh/carrier.h>

/* Internal, to play a peer that breaks the rules. */
extern int ssh_send_rekex(ssh_session session);

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

static const char *const ciphers[] = {GCM256, GCM128, CHACHA, CTR};
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

static uint32_t rnd(uint32_t n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(seed >> 33) % n;
}

static unsigned env_number(const char *name, unsigned otherwise) {
  const char *value = getenv(name);

  return value != NULL ? (unsigned)strtoul(value, NULL, 10) : otherwise;
}

/* Numbered packets: 94, number, a pattern of a length that follows from it. */
static size_t numbered_len(uint32_t n) {
  static const size_t some[] = {5, 6, 17, 64, 100, 1400, 4096, 16384, 32777};

  return some[(n * 2654435761u >> 7) % (sizeof(some) / sizeof(some[0]))];
}

static void numbered_fill(uint8_t *p, size_t len, uint32_t n) {
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

static int on_packet(ssh_session s, uint8_t *payload, size_t len, void *u) {
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

static void on_kex_done(ssh_session s, int initial, void *u) {
  peer *p = u;
  size_t len;

  p->kexes++;
  p->initial = initial;
  CHECK(ssh_carrier_session_id(s, &len) != NULL && len == 32);
}

static void peer_init(peer *p, const char *kex, const char *cipher,
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

static void pair_init_mac(pair *t, const char *kex, const char *cipher,
                          const char *mac) {
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

static void pair_init(pair *t, const char *kex, const char *cipher) {
  pair_init_mac(t, kex, cipher, ETM);
}

static void peer_free(peer *p) {
  ssh_free(p->s);
  free(p->in);
  memset(p, 0, sizeof(*p));
}

static void pair_free(pair *t) {
  peer_free(&t->client);
  peer_free(&t->server);
}

/* Gives bytes to a peer; what it leaves is kept, at another address. */
static void give(peer *to, const uint8_t *data, size_t len) {
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
static size_t move_some(peer *from, peer *to, feed how, size_t limit) {
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

static size_t move(peer *from, peer *to, feed how) {
  return move_some(from, to, how, SIZE_MAX);
}

static void exchange(pair *t, feed how) {
  size_t moved;

  do {
    moved = move(&t->client, &t->server, how);
    moved += move(&t->server, &t->client, how);
  } while (moved > 0);
}

/* A pair after the first key exchange. */
static void pair_ready(pair *t, const char *kex, const char *cipher) {
  pair_init(t, kex, cipher);
  exchange(t, FEED_WHOLE);
  MUST(t->client.kexes == 1 && t->server.kexes == 1);
}

static void pair_authenticated(pair *t, const char *kex, const char *cipher) {
  pair_ready(t, kex, cipher);
  MUST(ssh_carrier_set_authenticated(t->client.s) == SSH_OK);
  MUST(ssh_carrier_set_authenticated(t->server.s) == SSH_OK);
}

static int send_numbered(peer *p) {
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

static void check_pair_complete(const pair *t) {
  EQ_UINT(t->server.received, t->client.sent);
  EQ_UINT(t->client.received, t->server.sent);
  EQ_UINT(t->server.broken + t->client.broken, 0);
  EQ_INT(t->client.error, 0);
  EQ_INT(t->server.error, 0);
}

static void check_handshake(pair *t, const char *kex, const char *cipher) {
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

TEST(handshake_with_each_kex_and_cipher) {
  static const char *const kexes[] = {MLKEM, X25519};
  size_t k, c;

  for (k = 0; k < 2; k++) {
    for (c = 0; c < N_CIPHERS; c++) {
      pair t;

      pair_init(&t, kexes[k], ciphers[c]);
      exchange(&t, FEED_WHOLE);
      check_handshake(&t, kexes[k], ciphers[c]);
      pair_free(&t);
    }
  }
}

TEST(handshake_byte_by_byte_and_in_random_splits) {
  size_t c, i;

  for (c = 0; c < N_CIPHERS; c++) {
    for (i = 0; i < 5; i++) {
      pair t;

      pair_init(&t, MLKEM, ciphers[c]);
      exchange(&t, i == 0 ? FEED_BYTES : FEED_RANDOM);
      check_handshake(&t, MLKEM, ciphers[c]);
      pair_free(&t);
    }
  }
}

/* Every length gets through and arrives as it was. */
static void check_sizes(pair *t, feed how, size_t from, size_t to,
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

TEST(packets_of_all_sizes_both_ways) {
  size_t c;

  for (c = 0; c < N_CIPHERS; c++) {
    pair t;

    pair_ready(&t, X25519, ciphers[c]);
    check_sizes(&t, FEED_WHOLE, 1, 600, 1);
    check_sizes(&t, FEED_WHOLE, 32700, 32800, 1);
    check_sizes(&t, FEED_RANDOM, 1000, 262107, 21759);
    check_sizes(&t, FEED_BYTES, 1, 300, 7);
    EQ_INT(t.client.error + t.server.error, 0);
    pair_free(&t);
  }
}

TEST(old_macs_and_plain_ctr_work_too) {
  pair t;

  pair_init_mac(&t, X25519, CTR, SHA2);
  exchange(&t, FEED_RANDOM);
  EQ_STR(ssh_get_hmac_in(t.client.s), SHA2);
  check_sizes(&t, FEED_WHOLE, 1, 300, 1);
  check_sizes(&t, FEED_BYTES, 1, 300, 13);
  pair_free(&t);
}

TEST(a_payload_beyond_the_limit_is_refused) {
  static uint8_t data[300000];
  uint8_t type = MSG_DATA;
  pair t;

  pair_ready(&t, X25519, GCM256);
  EQ_INT(ssh_carrier_send(t.client.s, &type, 1, data, 262107), SSH_ERROR);
  EQ_INT(ssh_carrier_send(t.client.s, &type, 1, data, SIZE_MAX), SSH_ERROR);
  EQ_INT(ssh_carrier_send(t.client.s, NULL, 0, NULL, 0), SSH_ERROR);
  CHECK(ssh_carrier_reserve(t.client.s, 1, 262107) == NULL);
  CHECK(ssh_carrier_reserve(t.client.s, 1, SIZE_MAX) == NULL);
  check_sizes(&t, FEED_WHOLE, 10, 10, 1);
  pair_free(&t);
}

TEST(a_callback_can_answer) {
  uint8_t type = MSG_DATA;
  pair t;

  pair_ready(&t, X25519, GCM256);
  t.server.answer = 1;
  EQ_INT(ssh_carrier_send(t.client.s, &type, 1, NULL, 0), SSH_OK);
  exchange(&t, FEED_WHOLE);
  EQ_UINT(t.client.last_type, MSG_DATA + 1);
  EQ_UINT(t.client.last_len, 3);
  pair_free(&t);
}

TEST(a_callback_can_fail_the_session) {
  uint8_t type = MSG_DATA;
  pair t;

  pair_ready(&t, X25519, GCM256);
  t.server.refuse = 1;
  ssh_carrier_send(t.client.s, &type, 1, NULL, 0);
  ssh_carrier_send(t.client.s, &type, 1, NULL, 0);
  exchange(&t, FEED_WHOLE);
  EQ_INT(t.server.error, 1);
  EQ_UINT(t.server.packets, 1);
  CHECK(!ssh_is_connected(t.server.s));
  EQ_INT(ssh_carrier_send(t.server.s, &type, 1, NULL, 0), SSH_ERROR);
  pair_free(&t);
}

TEST(reserve_and_commit_equal_send) {
  uint8_t head[9] = {MSG_DATA, 0, 0, 0, 1, 0, 0, 0, 4};
  uint8_t *room = NULL;
  size_t len;
  pair t;

  pair_ready(&t, X25519, GCM256);
  room = ssh_carrier_reserve(t.client.s, sizeof(head), 1000);
  MUST(room != NULL);
  memset(room, 1, 1000);
  CHECK(ssh_carrier_output(t.client.s, &len) == NULL);
  EQ_INT(ssh_carrier_commit(t.client.s, head, sizeof(head), 1001), SSH_ERROR);
  EQ_INT(ssh_carrier_commit(t.client.s, head, 8, 4), SSH_ERROR);
  EQ_INT(ssh_carrier_commit(t.client.s, head, sizeof(head), 4), SSH_OK);
  EQ_INT(ssh_carrier_commit(t.client.s, head, sizeof(head), 4), SSH_ERROR);
  exchange(&t, FEED_WHOLE);
  EQ_UINT(t.server.last_len, sizeof(head) + 4);
  EQ_UINT(t.server.packets, 1);

  /* Another send takes the place. */
  CHECK(ssh_carrier_reserve(t.client.s, sizeof(head), 1000) != NULL);
  EQ_INT(ssh_carrier_send(t.client.s, head, 9, NULL, 0), SSH_OK);
  EQ_INT(ssh_carrier_commit(t.client.s, head, 9, 4), SSH_ERROR);

  /* Output that is sent in between does no harm. */
  room = ssh_carrier_reserve(t.client.s, sizeof(head), 1000);
  MUST(room != NULL);
  memset(room, 2, 1000);
  move(&t.client, &t.server, FEED_WHOLE);
  EQ_INT(ssh_carrier_commit(t.client.s, head, 9, 1000), SSH_OK);
  exchange(&t, FEED_WHOLE);
  EQ_UINT(t.server.packets, 3);
  EQ_UINT(t.server.last_len, 1009);
  EQ_INT(t.server.error, 0);
  pair_free(&t);
}

TEST(only_packets_of_its_layer_can_be_sent) {
  uint8_t type;
  pair t;

  pair_init(&t, X25519, GCM256);
  type = MSG_DATA;
  EQ_INT(ssh_carrier_send(t.client.s, &type, 1, NULL, 0), SSH_ERROR);
  type = MSG_IGNORE;
  EQ_INT(ssh_carrier_send(t.client.s, &type, 1, NULL, 0), SSH_ERROR);
  CHECK(ssh_carrier_reserve(t.client.s, 1, 10) == NULL);
  EQ_INT(ssh_carrier_rekey(t.client.s), SSH_ERROR);
  EQ_INT(ssh_carrier_set_authenticated(t.client.s), SSH_ERROR);
  exchange(&t, FEED_WHOLE);
  EQ_UINT(t.client.kexes, 1);
  for (type = 20; type < 50; type++) {
    EQ_INT(ssh_carrier_send(t.client.s, &type, 1, NULL, 0), SSH_ERROR);
  }
  EQ_INT(ssh_carrier_rekey(t.client.s), SSH_ERROR);
  EQ_INT(ssh_carrier_connect(t.client.s, &t.client.cb), SSH_ERROR);
  EQ_INT(ssh_carrier_unimplemented(t.client.s), SSH_ERROR);
  check_sizes(&t, FEED_WHOLE, 10, 10, 1);
  pair_free(&t);
}

/* Rekeys by `who` (bit 1 client, bit 2 server) with packets both ways and
 * bytes that arrive in pieces. */
static void rekey_under_load(const char *kex, const char *cipher, int who,
                             unsigned rekeys) {
  unsigned i, j;
  pair t;

  pair_authenticated(&t, kex, cipher);
  for (i = 0; i < rekeys; i++) {
    unsigned want = t.client.kexes + 1, rounds = 0;

    for (j = rnd(4); j > 0; j--) {
      EQ_INT(send_numbered(&t.client), SSH_OK);
      EQ_INT(send_numbered(&t.server), SSH_OK);
    }
    if ((who & 1) != 0) {
      EQ_INT(ssh_carrier_rekey(t.client.s), SSH_OK);
      EQ_INT(ssh_carrier_rekeying(t.client.s), 1);
    }
    if ((who & 2) != 0) {
      EQ_INT(ssh_carrier_rekey(t.server.s), SSH_OK);
    }
    while ((t.client.kexes < want || t.server.kexes < want) &&
           rounds++ < 100000 && !t.client.error && !t.server.error) {
      if (rnd(8) == 0) {
        EQ_INT(send_numbered(&t.client), SSH_OK);
      }
      if (rnd(8) == 0) {
        EQ_INT(send_numbered(&t.server), SSH_OK);
      }
      move_some(&t.client, &t.server, FEED_RANDOM, 1 + rnd(3000));
      move_some(&t.server, &t.client, FEED_RANDOM, 1 + rnd(3000));
    }
    if (!EQ_UINT(t.client.kexes, want)) {
      DIAG("%s / %s", ssh_get_error(t.client.s), ssh_get_error(t.server.s));
      break;
    }
  }
  exchange(&t, FEED_WHOLE);
  EQ_INT(t.client.initial, 0);
  EQ_UINT(ssh_carrier_queued(t.client.s) + ssh_carrier_queued(t.server.s), 0);
  check_pair_complete(&t);
  pair_free(&t);
}

TEST(many_rekeys_by_the_client) {
  rekey_under_load(X25519, GCM256, 1, env_number("CARRIER_REKEYS", 1000));
}

TEST(many_rekeys_by_the_server) {
  rekey_under_load(X25519, CHACHA, 2, env_number("CARRIER_REKEYS", 1000));
}

TEST(many_rekeys_by_both_at_once) {
  rekey_under_load(X25519, GCM128, 3, env_number("CARRIER_REKEYS", 1000));
}

TEST(rekeys_with_each_kex_and_cipher) {
  size_t c;

  for (c = 0; c < N_CIPHERS; c++) {
    rekey_under_load(MLKEM, ciphers[c], 1 + (int)c % 3, 5);
  }
}

TEST(rekeys_after_an_amount_of_data) {
  uint64_t limit = 300000;
  unsigned i;
  pair t;

  pair_init(&t, X25519, GCM256);
  ssh_options_set(t.client.s, SSH_OPTIONS_REKEY_DATA, &limit);
  limit = 200000;
  ssh_options_set(t.server.s, SSH_OPTIONS_REKEY_DATA, &limit);
  exchange(&t, FEED_WHOLE);
  MUST(t.client.kexes == 1);
  ssh_carrier_set_authenticated(t.client.s);
  ssh_carrier_set_authenticated(t.server.s);
  for (i = 0; i < 3000; i++) {
    EQ_INT(send_numbered(&t.client), SSH_OK);
    if (i > 1000) {
      EQ_INT(send_numbered(&t.server), SSH_OK);
    }
    if (rnd(4) == 0) {
      move_some(&t.client, &t.server, FEED_RANDOM, 1 + rnd(60000));
      move_some(&t.server, &t.client, FEED_RANDOM, 1 + rnd(60000));
    }
    if (i % 100 == 0) {
      exchange(&t, FEED_WHOLE);
    }
  }
  exchange(&t, FEED_WHOLE);
  check_pair_complete(&t);
  OK(t.client.kexes > 30, "%u key exchanges", t.client.kexes);
  EQ_UINT(t.client.kexes, t.server.kexes);
  pair_free(&t);
}

TEST(packets_wait_for_a_rekey) {
  uint8_t packet[10] = {MSG_DATA};
  pair t;

  pair_authenticated(&t, X25519, GCM256);
  EQ_INT(ssh_carrier_rekeying(t.client.s), 0);
  EQ_INT(ssh_carrier_rekey(t.client.s), SSH_OK);
  EQ_INT(ssh_carrier_rekey(t.client.s), SSH_OK);
  EQ_INT(ssh_carrier_rekeying(t.client.s), 1);
  EQ_INT(ssh_carrier_send(t.client.s, packet, 10, NULL, 0), SSH_OK);
  EQ_INT(ssh_carrier_send(t.client.s, packet, 1, packet, 9), SSH_OK);
  EQ_UINT(ssh_carrier_queued(t.client.s), 20);
  CHECK(ssh_carrier_reserve(t.client.s, 1, 9) == NULL);
  EQ_UINT(t.server.packets, 0);
  exchange(&t, FEED_WHOLE);
  EQ_UINT(t.server.packets, 2);
  EQ_UINT(ssh_carrier_queued(t.client.s), 0);
  EQ_INT(ssh_carrier_rekeying(t.client.s), 0);
  EQ_UINT(t.client.kexes, 2);
  pair_free(&t);
}

/* One packet on its way to the server, in memory of its own. */
static uint8_t *one_packet(pair *t, const char *cipher, size_t *len) {
  static const uint8_t payload[70] = {MSG_DATA + 1};
  const uint8_t *out = NULL;
  uint8_t *copy = NULL;

  pair_ready(t, X25519, cipher);
  MUST(ssh_carrier_send(t->client.s, payload, 70, NULL, 0) == SSH_OK);
  out = ssh_carrier_output(t->client.s, len);
  copy = malloc(*len);
  MUST(copy != NULL);
  memcpy(copy, out, *len);
  ssh_carrier_output_consume(t->client.s, *len);
  return copy;
}

TEST(an_altered_byte_anywhere_fails_the_session) {
  static uint8_t more[300000];
  size_t c, i;

  for (c = 0; c < N_CIPHERS; c++) {
    size_t len = 1;

    for (i = 0; i < len; i++) {
      pair t;
      uint8_t *packet = one_packet(&t, ciphers[c], &len);

      packet[i] ^= (uint8_t)(1u << rnd(8));
      give(&t.server, packet, len);
      if (!t.server.error) {
        /* The length grew: what follows is taken for the rest. */
        give(&t.server, more, sizeof(more));
      }
      OK(t.server.error == 1, "%s, byte %zu", ciphers[c], i);
      EQ_UINT(t.server.packets, 0);
      EQ_INT(ssh_get_error_code(t.server.s), SSH_FATAL);
      free(packet);
      pair_free(&t);
    }
  }
}

TEST(a_truncated_packet_waits_for_its_rest) {
  size_t c, len;

  for (c = 0; c < N_CIPHERS; c++) {
    pair t;
    uint8_t *packet = one_packet(&t, ciphers[c], &len);

    EQ_UINT(ssh_carrier_wanted(t.server.s), 0);
    give(&t.server, packet, len - 1);
    EQ_UINT(t.server.packets, 0);
    EQ_UINT(ssh_carrier_wanted(t.server.s), len);
    give(&t.server, packet + len - 1, 1);
    EQ_UINT(t.server.packets, 1);
    EQ_UINT(t.server.last_len, 70);
    EQ_UINT(ssh_carrier_wanted(t.server.s), 0);
    free(packet);
    pair_free(&t);
  }
}

TEST(a_replayed_packet_fails_the_session) {
  size_t c, len;

  for (c = 0; c < N_CIPHERS; c++) {
    pair t;
    uint8_t *packet = one_packet(&t, ciphers[c], &len);

    give(&t.server, packet, len);
    EQ_UINT(t.server.packets, 1);
    give(&t.server, packet, len);
    give(&t.server, packet, len);
    EQ_UINT(t.server.packets, 1);
    free(packet);
    pair_free(&t);
  }
}

TEST(impossible_lengths_are_refused_at_once) {
  static const uint32_t lengths[] = {
      0,      1,          8,          15,         17,        262145,
      262160, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
  size_t i, len;

  for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
    pair t;
    uint8_t *packet = one_packet(&t, GCM256, &len);
    uint32_t n = lengths[i];

    packet[0] = (uint8_t)(n >> 24);
    packet[1] = (uint8_t)(n >> 16);
    packet[2] = (uint8_t)(n >> 8);
    packet[3] = (uint8_t)n;
    give(&t.server, packet, 4);
    EQ_INT(t.server.error, 1);
    free(packet);
    pair_free(&t);
  }
}

/* A packet in clear, as before the first key exchange. */
static size_t clear_packet(uint8_t *to, const uint8_t *payload, size_t len) {
  size_t padding = 8 - (5 + len) % 8;

  padding += padding < 4 ? 8 : 0;
  memset(to, 0, 5 + len + padding);
  to[2] = (uint8_t)((1 + len + padding) >> 8);
  to[3] = (uint8_t)(1 + len + padding);
  to[4] = (uint8_t)padding;
  memcpy(to + 5, payload, len);
  return 5 + len + padding;
}

TEST(lengths_in_clear_are_checked_too) {
  static const uint32_t lengths[] = {0, 1, 3, 262145, 0x80000000, 0xffffffff};
  size_t i;

  for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
    uint8_t packet[64] = {0};
    uint32_t n = lengths[i];
    pair t;

    pair_init(&t, X25519, GCM256);
    give(&t.server, (const uint8_t *)"SSH-2.0-x\r\n", 11);
    packet[0] = (uint8_t)(n >> 24);
    packet[1] = (uint8_t)(n >> 16);
    packet[2] = (uint8_t)(n >> 8);
    packet[3] = (uint8_t)n;
    give(&t.server, packet, sizeof(packet));
    EQ_INT(t.server.error, 1);
    pair_free(&t);
  }
}

TEST(packets_above_the_transport_in_clear_fail_the_session) {
  static const uint8_t types[] = {5, 6, 50, 52, 60, 80, 90, 94, 100, 127};
  size_t i, len;
  int late;

  for (late = 0; late < 2; late++) {
    for (i = 0; i < sizeof(types); i++) {
      uint8_t packet[64];
      pair t;

      pair_init(&t, X25519, GCM256);
      give(&t.server, (const uint8_t *)"SSH-2.0-x\r\n", 11);
      if (late) {
        /* In the middle of the key exchange, which is the client's own. */
        move(&t.server, &t.client, FEED_WHOLE);
        ssh_carrier_output_consume(t.client.s, strlen("SSH-2.0-Client_1\r\n"));
        move(&t.client, &t.server, FEED_WHOLE);
      }
      len = clear_packet(packet, &types[i], 1);
      give(&t.server, packet, len);
      EQ_INT(t.server.error, 1);
      EQ_UINT(t.server.packets, 0);
      pair_free(&t);
    }
  }
}

TEST(packets_above_the_transport_during_a_rekey_fail_the_session) {
  static const uint8_t types[] = {5, 6, 50, 80, 94};
  size_t i, c;

  for (c = 0; c < N_CIPHERS; c++) {
    for (i = 0; i < sizeof(types); i++) {
      pair t;

      /* The client does not count itself as authenticated, so that nothing
       * holds its packets back. */
      pair_ready(&t, X25519, ciphers[c]);
      ssh_carrier_set_authenticated(t.server.s);
      MUST(ssh_send_rekex(t.client.s) == SSH_OK);
      EQ_INT(ssh_carrier_send(t.client.s, &types[i], 1, NULL, 0), SSH_OK);
      move(&t.client, &t.server, FEED_WHOLE);
      EQ_INT(t.server.error, 1);
      EQ_UINT(t.server.packets, 0);
      pair_free(&t);
    }
  }
}

TEST(strict_kex_fails_on_a_packet_slipped_in) {
  static const uint8_t ignore[5] = {MSG_IGNORE};
  uint8_t packet[64];
  size_t len;
  pair t;

  pair_init(&t, X25519, GCM256);
  move_some(&t.client, &t.server, FEED_WHOLE, strlen("SSH-2.0-Client_1\r\n"));
  len = clear_packet(packet, ignore, sizeof(ignore));
  give(&t.server, packet, len);
  exchange(&t, FEED_WHOLE);
  EQ_INT(t.server.error, 1);
  EQ_UINT(t.server.kexes, 0);
  pair_free(&t);
}

TEST(ignored_packets_are_harmless) {
  uint8_t ignore[200] = {MSG_IGNORE};
  size_t len;
  unsigned i;
  pair t;

  pair_authenticated(&t, X25519, GCM256);
  for (i = 0; i < 20000; i++) {
    ssh_carrier_send(t.client.s, ignore, 1 + i % 200, NULL, 0);
    if (i % 1000 == 0) {
      move(&t.client, &t.server, FEED_WHOLE);
    }
  }
  exchange(&t, FEED_WHOLE);
  EQ_UINT(t.server.packets, 0);
  CHECK(ssh_carrier_output(t.server.s, &len) == NULL);
  check_sizes(&t, FEED_WHOLE, 10, 10, 1);
  pair_free(&t);
}

TEST(unknown_packets_are_answered_within_bounds) {
  uint8_t unknown[8] = {200};
  unsigned i;
  pair t;

  pair_authenticated(&t, X25519, GCM256);
  for (i = 0; i < 5000; i++) {
    ssh_carrier_send(t.client.s, unknown, sizeof(unknown), NULL, 0);
    exchange(&t, FEED_WHOLE);
  }
  EQ_INT(t.server.error, 0);
  for (i = 0; i < 5000 && !t.server.error; i++) {
    ssh_carrier_send(t.client.s, unknown, sizeof(unknown), NULL, 0);
    move(&t.client, &t.server, FEED_WHOLE);
  }
  EQ_INT(t.server.error, 1);
  EQ_UINT(t.server.packets, 0);
  pair_free(&t);
}

TEST(a_disconnect_is_told_with_its_code) {
  static const uint8_t bye[] = {
      MSG_DISCONNECT, 0, 0, 0, 11, 0, 0, 0, 3, 'b', 'y', 'e', 0, 0, 0, 0};
  const char *message = NULL;
  uint32_t code = 0;
  size_t n;

  for (n = 1; n <= sizeof(bye); n++) {
    pair t;

    pair_ready(&t, X25519, n % 2 ? GCM256 : CTR);
    EQ_INT(ssh_carrier_peer_disconnected(t.server.s, &code, &message), 0);
    EQ_INT(ssh_carrier_send(t.client.s, bye, n, NULL, 0), SSH_OK);
    exchange(&t, FEED_WHOLE);
    EQ_INT(t.server.error, 1);
    EQ_INT(ssh_carrier_peer_disconnected(t.server.s, &code, &message), 1);
    EQ_UINT(code, n >= 5 ? 11 : 0);
    EQ_STR(message, n >= 12 ? "bye" : "");
    pair_free(&t);
  }
}

TEST(a_disconnect_can_be_sent_in_clear_and_after_an_error) {
  static const uint8_t bye[] = {MSG_DISCONNECT, 0, 0, 0, 2};
  uint32_t code = 0;
  pair t;

  pair_init(&t, X25519, GCM256);
  EQ_INT(ssh_carrier_send(t.client.s, bye, sizeof(bye), NULL, 0), SSH_OK);
  exchange(&t, FEED_WHOLE);
  EQ_INT(ssh_carrier_peer_disconnected(t.server.s, &code, NULL), 1);
  EQ_UINT(code, 2);
  pair_free(&t);

  pair_ready(&t, X25519, GCM256);
  give(&t.server, (const uint8_t *)"\xff\xff\xff\xff", 4);
  EQ_INT(t.server.error, 1);
  EQ_INT(ssh_carrier_send(t.server.s, bye, sizeof(bye), NULL, 0), SSH_OK);
  move(&t.server, &t.client, FEED_WHOLE);
  EQ_INT(ssh_carrier_peer_disconnected(t.client.s, &code, NULL), 1);
  pair_free(&t);
}

/* What a server (or client) makes of the beginning of its input. */
static int first_input(int server, feed how, const uint8_t *data, size_t len) {
  pair t;
  int rc;
  size_t i, n;

  pair_init(&t, X25519, GCM256);
  for (i = 0; i < len; i += n) {
    n = how == FEED_BYTES ? 1 : len - i;
    give(server ? &t.server : &t.client, data + i, n);
  }
  rc = server ? t.server.error : t.client.error;
  pair_free(&t);
  return rc;
}

TEST(version_lines) {
  static const struct {
    const char *line;
    int by_server; /* the server's verdict, 1 is an error */
    int by_client;
  } lines[] = {
      {"SSH-2.0-a\r\n", 0, 0},
      {"SSH-2.0-a\n", 0, 0},
      {"SSH-2.0-a b c\r\n", 0, 0},
      {"SSH-2.0-\r\n", 1, 1},
      {"SSH-2.1-a\r\n", 1, 1},
      {"SSH-1.5-a\r\n", 1, 1},
      {"SSH-1.99-a\r\n", 1, 0},
      {"SSH-2.0\r\n", 1, 1},
      {"SSH-\r\n", 1, 1},
      {"SSH-2.0-a\rb\r\n", 1, 1},
      {"SSH-2.0-a\tb\r\n", 1, 1},
      {"GET / HTTP/1.1\r\n", 1, 0},
      {"\r\n", 1, 0},
      {"S\r\n", 1, 0},
      {"\x16\x03\x01\x02", 1, 0},
      {"SSH-2.0-unfinished", 0, 0},
  };
  size_t i;
  int how;

  for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
    const uint8_t *line = (const uint8_t *)lines[i].line;
    size_t len = strlen(lines[i].line);

    for (how = FEED_WHOLE; how <= FEED_BYTES; how++) {
      OK(first_input(1, (feed)how, line, len) == lines[i].by_server,
         "server: %s", lines[i].line);
      OK(first_input(0, (feed)how, line, len) == lines[i].by_client,
         "client: %s", lines[i].line);
    }
  }
  EQ_INT(first_input(1, FEED_WHOLE, (const uint8_t *)"SSH-2.0-a\0b\n", 12), 1);
}

TEST(version_lines_are_bounded) {
  static uint8_t text[70000];

  memset(text, 'a', sizeof(text));
  memcpy(text, "SSH-2.0-", 8);
  text[254] = '\n';
  EQ_INT(first_input(1, FEED_WHOLE, text, 255), 0);
  text[254] = 'a';
  EQ_INT(first_input(1, FEED_BYTES, text, 254), 0);
  EQ_INT(first_input(1, FEED_BYTES, text, 255), 1);
  EQ_INT(first_input(0, FEED_WHOLE, text, 300), 1);

  /* Lines in front of a server's version line. */
  memset(text, 'a', sizeof(text));
  EQ_INT(first_input(0, FEED_WHOLE, text, 65536), 0);
  EQ_INT(first_input(0, FEED_WHOLE, text, 65537), 1);
  memset(text, '\n', sizeof(text));
  EQ_INT(first_input(0, FEED_WHOLE, text, 65537), 1);
  memcpy(text + 60000, "\nSSH-2.0-a\r\n", 12);
  EQ_INT(first_input(0, FEED_WHOLE, text, 60012), 0);
}

TEST(a_greeting_in_front_of_the_version_is_skipped) {
  pair t;

  pair_init(&t, X25519, GCM256);
  give(&t.client, (const uint8_t *)"Welcome\r\nSSH is here\n\r\n", 23);
  exchange(&t, FEED_BYTES);
  check_handshake(&t, X25519, GCM256);
  pair_free(&t);
}

TEST(software_names_are_checked) {
  char name[300];
  ssh_session s = ssh_new();

  memset(name, 'a', sizeof(name));
  name[201] = '\0';
  EQ_INT(ssh_carrier_set_version(s, name), SSH_ERROR);
  name[200] = '\0';
  EQ_INT(ssh_carrier_set_version(s, name), SSH_OK);
  EQ_INT(ssh_carrier_set_version(s, ""), SSH_ERROR);
  EQ_INT(ssh_carrier_set_version(s, "a\nb"), SSH_ERROR);
  EQ_INT(ssh_carrier_set_version(s, "a\x80"), SSH_ERROR);
  EQ_INT(ssh_carrier_set_version(s, NULL), SSH_ERROR);
  ssh_free(s);
}

TEST(a_trimmed_session_goes_on) {
  size_t c;

  for (c = 0; c < N_CIPHERS; c++) {
    int i;
    pair t;

    pair_authenticated(&t, MLKEM, ciphers[c]);
    for (i = 0; i < 3; i++) {
      ssh_carrier_trim(t.client.s);
      ssh_carrier_trim(t.server.s);
      check_sizes(&t, FEED_RANDOM, 1, 40000, 19999);
      ssh_carrier_send(t.client.s, "\x5f", 1, NULL, 0);
      ssh_carrier_trim(t.client.s);
      ssh_carrier_rekey(t.server.s);
      ssh_carrier_trim(t.server.s);
      exchange(&t, FEED_RANDOM);
      EQ_UINT(t.client.kexes, 2u + (unsigned)i);
    }
    check_pair_complete(&t);
    pair_free(&t);
  }
}

TEST(a_session_can_be_freed_at_any_time) {
  size_t n, total = 0;
  pair t;

  ssh_free(NULL);
  pair_init(&t, MLKEM, CHACHA);
  for (n = 1; n > 0; total += n) {
    n = move(&t.client, &t.server, FEED_WHOLE);
    n += move(&t.server, &t.client, FEED_WHOLE);
  }
  pair_free(&t);
  for (n = 0; n < total; n += 61) {
    size_t left = n, moved = 1;

    pair_init(&t, MLKEM, CHACHA);
    while (left > 0 && moved > 0) {
      moved = move_some(&t.client, &t.server, FEED_WHOLE, left);
      left -= moved;
      if (left > 0) {
        size_t back = move_some(&t.server, &t.client, FEED_WHOLE, left);

        left -= back;
        moved += back;
      }
    }
    pair_free(&t);
  }
}

TEST(damaged_handshakes_do_no_harm) {
  unsigned i;

  for (i = 0; i < 400; i++) {
    pair t;
    size_t moved, n;
    unsigned rounds = 0;
    peer *ends[2];

    pair_init(&t, i % 2 ? MLKEM : X25519, GCM256);
    ends[0] = &t.client;
    ends[1] = &t.server;
    do {
      moved = 0;
      for (n = 0; n < 2; n++) {
        uint8_t garbage[40];
        size_t g;

        moved += move_some(ends[n], ends[1 - n], FEED_WHOLE, 1 + rnd(900));
        if (rnd(6) == 0) {
          for (g = 0; g < sizeof(garbage); g++) {
            garbage[g] = (uint8_t)rnd(256);
          }
          garbage[0] = garbage[1] = 0;
          give(ends[1 - n], garbage, 1 + rnd(sizeof(garbage)));
        }
      }
    } while (moved > 0 && rounds++ < 100);
    EQ_UINT(t.client.packets + t.server.packets, 0);
    pair_free(&t);
  }
}

static void set_up(void) {
  if (host_key == NULL) {
    MUST(ssh_init() == 0);
    MUST(ssh_pki_generate_key(SSH_KEYTYPE_ED25519, NULL, &host_key) == SSH_OK);
  }
}

static void tear_down(void) {}

TAP_MAIN_WITH(set_up, tear_down)
