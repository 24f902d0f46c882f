/* The SSH transport layer over a carrier: handshakes, packets and rekeys between
 * two peers that follow the rules. CARRIER_REKEYS in the environment is how many
 * rekeys each of the rekey tests does (1000).
 */
#include "carrier_pair.h"

static unsigned env_number(const char *name, unsigned otherwise) {
  const char *value = getenv(name);

  return value != NULL ? (unsigned)strtoul(value, NULL, 10) : otherwise;
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

TAP_MAIN_WITH(carrier_set_up, carrier_tear_down)
