'use strict';
// A browser behind the SOCKS5 port, and behind the same port as an HTTP proxy.
const path = require('node:path');
const fs = require('node:fs');
const { lab } = require('./lib/lab.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['chromium'], timeout: 180_000 };

const page = `<!doctype html>
<title>canary</title>
<link rel="stylesheet" href="/canary.css">
<h1>Before</h1>
<script src="/canary.js"></script>`;
const style = 'body { background: rgb(0, 128, 0); color: white }';
const script = `fetch('/canary.json').then((r) => r.json()).then((list) => {
  document.querySelector('h1').textContent =
    'The sum is ' + list.reduce((a, b) => a + b) + ' ' +
    getComputedStyle(document.body).backgroundColor;
});`;
const numbers = JSON.stringify(Array.from({ length: 20_000 }, (_, i) => i));

const files = {
  '/canary': ['text/html', page],
  '/canary.css': ['text/css', style],
  '/canary.js': ['text/javascript', script],
  '/canary.json': ['application/json', numbers],
};

const website = (lab) =>
  lab.web((request, response) => {
    const [type, body] = files[request.url] ?? ['text/plain', ''];
    response.writeHead(body ? 200 : 404, { 'content-type': type });
    response.end(body);
  });

function chromium(lab, proxy, args) {
  const profile = lab.subdir('profile');
  return lab.run(
    peers.path('chromium'),
    [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic'],
      ...['--no-first-run', '--disable-background-networking'],
      ...['--disable-component-update', '--disable-sync'],
      ...['--disable-dev-shm-usage', '--hide-scrollbars'],
      `--user-data-dir=${profile}`,
      `--proxy-server=${proxy}`,
      '--proxy-bypass-list=<-loopback>',
      '--virtual-time-budget=20000',
      ...args,
    ],
    { env: { HOME: profile } },
  );
}

for (const scheme of ['socks5', 'http']) {
  lab(`Chromium through ${scheme}`, needs, async (t, lab) => {
    const web = await website(lab);
    const client = await lab.connect(await lab.serve());
    const proxy = `${scheme}://127.0.0.1:${client.socks5.port}`;
    const url = `http://${web.host}:${web.port}/canary`;
    const { code, stdout, stderr } = await chromium(lab, proxy, [
      ...['--dump-dom', url],
    ]);
    t.equal(code, 0, stderr);
    t.match(stdout, /<h1>The sum is 199990000 rgb\(0, 128, 0\)<\/h1>/);
    const asked = web.requests.map((request) => request.url);
    for (const file of Object.keys(files)) t.ok(asked.includes(file), file);
  });
}

// WRAITH_SCREENSHOTS names a folder to keep the picture in.
lab('Chromium draws the page', needs, async (t, lab) => {
  const web = await website(lab);
  const client = await lab.connect(await lab.serve());
  const proxy = `socks5://127.0.0.1:${client.socks5.port}`;
  const dir = process.env.WRAITH_SCREENSHOTS ?? lab.dir;
  const picture = path.join(dir, 'page.png');
  const { code, stderr } = await chromium(lab, proxy, [
    ...[`--screenshot=${picture}`, '--window-size=640,360'],
    `http://${web.host}:${web.port}/canary`,
  ]);
  t.equal(code, 0, stderr);
  const head = fs.readFileSync(picture).subarray(0, 8);
  t.equal(head.toString('latin1'), '\x89PNG\r\n\x1a\n');
});
