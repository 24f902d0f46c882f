'use strict';
// PostgreSQL and Redis through forwards.
const { lab } = require('./lib/lab.js');
const { freePort } = require('./lib/net.js');
const { startPostgres, startRedis } = require('./lib/databases.js');
const peers = require('../../scripts/peers.js');

const postgres = { peers: ['postgres', 'initdb', 'psql', 'pgbench'] };
const redis = { peers: ['redis-server', 'redis-cli', 'redis-benchmark'] };

// A client with one forward to the server: { host, port }.
async function forwardTo(lab, { host, port }) {
  const client = await lab.connect(await lab.serve(), {
    args: ['--forward', `127.0.0.1:${await freePort()}:${host}:${port}`],
  });
  return client.summary.forwards[0];
}

lab('PostgreSQL', postgres, async (t, lab) => {
  const { host, port } = await forwardTo(lab, await startPostgres(lab));
  const where = ['-h', host, '-p', String(port), '-U', 'tester'];
  const psql = (sql, args = []) =>
    lab.run(
      peers.path('psql'),
      [...where, '-X', '-At', ...args, '-c', sql, 'postgres'],
      { cwd: '/' },
    );
  const many = await psql(
    'select i, repeat(md5(i::text), 32) from generate_series(1, 5000) i',
  );
  t.equal(many.code, 0, many.stderr);
  const rows = many.stdout.trim().split('\n');
  t.equal(rows.length, 5000);
  t.match(rows.at(-1), /^5000\|([0-9a-f]{32})\1{31}$/);
  const wrong = await psql('select nonsense');
  t.equal(wrong.code, 1, 'errors come through');
  t.match(wrong.stderr, /column "nonsense" does not exist/);

  const bench = (...args) =>
    lab.run(peers.path('pgbench'), [...where, ...args, 'postgres'], {
      cwd: '/',
    });
  const made = await bench('-i', '-s', '1', '-q');
  t.equal(made.code, 0, made.stderr);
  const ran = await bench('-c', '4', '-t', '200');
  t.equal(ran.code, 0, ran.stderr);
  t.match(ran.stdout, /transactions actually processed: 800\/800/);
  const count = await psql('select count(*) from pgbench_history');
  t.equal(count.stdout, '800\n');
  // A connection for each transaction.
  const fast = await bench('-n', '-c', '4', '-t', '25', '-S', '-C');
  t.match(fast.stdout, /transactions actually processed: 100\/100/);
});

lab('Redis', redis, async (t, lab) => {
  const { host, port } = await forwardTo(lab, await startRedis(lab));
  const where = ['-h', host, '-p', String(port)];
  const cli = (...args) =>
    lab.run(peers.path('redis-cli'), [...where, ...args]);
  t.equal((await cli('ping')).stdout, 'PONG\n');
  t.equal((await cli('set', 'a', 'x'.repeat(50_000))).stdout, 'OK\n');
  t.equal((await cli('strlen', 'a')).stdout, '50000\n');

  // The subscriber hears what another connection says.
  const ear = lab.spawn(peers.path('redis-cli'), [...where, 'subscribe', 'c'], {
    input: 'open',
  });
  await ear.line(/^1$|\(integer\) 1/);
  t.equal((await cli('publish', 'c', 'heard')).stdout, '1\n');
  await ear.line(/heard/);
  await ear.stop();

  const args = ['-n', '10000', '-c', '20', '-P', '4', '-t', 'set,get,lpush'];
  const bench = await lab.run(peers.path('redis-benchmark'), [
    ...[...where, ...args, '--csv'],
  ]);
  t.equal(bench.code, 0, bench.stderr);
  const rows = bench.stdout.match(/^"(SET|GET|LPUSH)","[1-9]/gm);
  t.strictSame(rows?.length, 3, bench.stdout);
  const length = (await cli('llen', 'mylist')).stdout;
  t.equal(length, '10000\n', 'each command came through once');
});
