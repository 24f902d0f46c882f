/* The SSH transport layer over a carrier: peers that break the rules, and bytes
 * that were damaged on their way.
 */
#include "carrier_pair.h"

/* Internal, to play a peer that breaks the rules. */
extern int ssh_send_rekex(ssh_session session);

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

/* The client sends a packet behind its KEXINIT. It does not count itself as
 * authenticated, so that nothing holds the packet back.
 */
static void send_during_rekey(pair *t, const char *cipher, uint8_t type,
                              int authenticated) {
  pair_ready(t, X25519, cipher);
  if (authenticated) {
    ssh_carrier_set_authenticated(t->server.s);
  }
  MUST(ssh_send_rekex(t->client.s) == SSH_OK);
  EQ_INT(ssh_carrier_send(t->client.s, &type, 1, NULL, 0), SSH_OK);
  move(&t->client, &t->server, FEED_WHOLE);
}

/* Some peers go on for a while after their KEXINIT; before a login that is no
 * way in. After it, who gets the packets refuses those of the login.
 */
TEST(packets_above_the_transport_during_a_rekey_need_a_login) {
  static const uint8_t types[] = {5, 6, 50, 80, 94};
  size_t i, c;
  int in;

  for (c = 0; c < N_CIPHERS; c++) {
    for (i = 0; i < sizeof(types); i++) {
      for (in = 0; in < 2; in++) {
        pair t;

        send_during_rekey(&t, ciphers[c], types[i], in);
        EQ_INT(t.server.error, !in);
        EQ_UINT(t.server.packets, (unsigned)in);
        pair_free(&t);
      }
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

TAP_MAIN_WITH(carrier_set_up, carrier_tear_down)
