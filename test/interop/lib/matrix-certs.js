'use strict';
// Certificates: [name, what sshd decides, more]. More:
//   args: [...]      of ssh-keygen -s; by default the user is the principal
//   ca: 'rsa'        which authority signs; by default one that both trust
//   line: '…'        not that one, but an authority of its own, in a
//                    cert-authority line of authorized_keys with these options
//   lines: (ca) => … the lines themselves, where one is not it
//   key: 'ecdsa'     which key is certified; by default Ed25519
//   change: (fields, tools) => the blob, altered
//   prove: 'other'   who signs the login; for a security key its flags
//   user, from       of the login; from: '::1' is the one IPv6 address
//   differs: '…'     what wraith decides instead
const certs = require('../../lib/certs.js');
const { string, u32 } = require('../../lib/ssh-client.js');
const { USER } = require('./matrix.js');

const { flip, options, putTogether, signAnew, u64 } = certs;
const ELSEWHERE = '192.0.2.1';
const OTHER = USER.toUpperCase();

/** Names as -n takes them, the user's among them. */
const named = (...names) => ['-n', names.join(',')];
const option = (...texts) => [
  ...named(USER),
  ...texts.flatMap((text) => ['-O', text]),
];
const valid = (interval) => [...named(USER), '-V', interval];

/** The fields with others in their place, signed by the right authority. */
const signed = (more) => ({
  change: (fields, tools) =>
    signAnew(
      {
        ...fields,
        ...(typeof more === 'function' ? more(fields, tools) : more),
      },
      tools.authority.sign,
    ),
});
const critical = (...pairs) => signed({ critical: options(pairs) });
const extensions = (...pairs) => signed({ extensions: options(pairs) });
const source = (value) => critical(['source-address', value]);
const principals = (...names) =>
  signed({ principals: Buffer.concat(names.map(string)) });
const many = (n) => Array.from({ length: n }, (_, i) => `p${i}`);
const PORTS = 'permit-port-forwarding';
const raw = (...parts) => Buffer.concat(parts.map(string));

const basics = [
  ['as it should be', 'forward'],
  ['of a host', 'none', { args: ['-h', ...named(USER)] }],
  ['of an unknown authority', 'none', { ca: 'unknown' }],
  ['proved with another key', 'none', { prove: 'other' }],
  ['serial 0', 'forward', { args: [...named(USER), '-z', '0'] }],
  [
    'the last serial',
    'forward',
    { args: [...named(USER), '-z', '18446744073709551615'] },
  ],
  [
    'a key id with quotes, line ends and escapes',
    'forward',
    { args: [...named(USER), '-I', 'a"b\\c d=e\r\nf\u001b[31m\u00e9'] },
  ],
  ['a long key id', 'forward', signed({ keyId: Buffer.alloc(4000, 'x') })],
  ['an empty key id', 'forward', signed({ keyId: Buffer.alloc(0) })],
  ['a zero byte in the key id', 'none', signed({ keyId: Buffer.from('a\0b') })],
  ['no nonce', 'forward', signed({ nonce: Buffer.alloc(0) })],
  [
    'a reserved field with bytes',
    'forward',
    signed({ reserved: Buffer.from('x') }),
  ],
  ['of no known kind', 'none', signed({ kind: u32(3) })],
  ['of kind 0', 'none', signed({ kind: u32(0) })],
];

const authorities = [
  ['ecdsa-256', 'forward', { ca: 'ecdsa256' }],
  ['ecdsa-384', 'forward', { ca: 'ecdsa384' }],
  ['ecdsa-521', 'forward', { ca: 'ecdsa521' }],
  [
    'rsa-sha2-256',
    'forward',
    { ca: 'rsa', args: ['-t', 'rsa-sha2-256', ...named(USER)] },
  ],
  [
    'rsa-sha2-512',
    'forward',
    { ca: 'rsa', args: ['-t', 'rsa-sha2-512', ...named(USER)] },
  ],
  [
    'rsa with SHA-1',
    'none',
    { ca: 'rsa', args: ['-t', 'ssh-rsa', ...named(USER)] },
  ],
  ['a security key, not touched', 'forward', { ca: 'security' }],
  ['ecdsa-256 in a line', 'forward', { ca: 'ecdsaLine' }],
  [
    'named, but another signed',
    'none',
    {
      change: (fields, { unknown }) => signAnew(fields, unknown.sign),
    },
  ],
  [
    'signed, but another is named',
    'none',
    signed((f, t) => ({ authority: t.unknown.blob })),
  ],
  ['a certificate', 'none', signed((f) => ({ authority: putTogether(f) }))],
  [
    'trailing bytes',
    'none',
    signed((f) => ({ authority: Buffer.concat([f.authority, u32(0)]) })),
  ],
];

const validity = [
  ['for ever', 'forward', { args: valid('always:forever') }],
  ['years', 'forward', { args: valid('20200101Z:20370101Z') }],
  ['expired', 'none', { args: valid('20200101Z:20200102Z') }],
  ['not yet', 'none', { args: valid('20370101Z:20370102Z') }],
  [
    'from the beginning of time',
    'forward',
    { args: valid('always:20370101Z') },
  ],
  ['never', 'none', signed({ after: u64(0), before: u64(0) })],
  [
    'ends before it begins',
    'none',
    signed({ after: u64(2n ** 63n), before: u64(1) }),
  ],
  [
    'begins too late for signed numbers',
    'none',
    signed({ after: u64(2n ** 63n) }),
  ],
];

const names = [
  ['nobody in particular', 'none', { args: [] }],
  ['another', 'none', { args: named('another') }],
  ['another case', 'none', { args: named(OTHER) }],
  ['several', 'forward', { args: named('a', 'b', USER, 'c') }],
  ['several others', 'none', { args: named('a', 'b') }],
  ['a longer name', 'none', { args: named(`${USER}x`) }],
  ['a shorter name', 'none', { args: named(USER.slice(0, -1)) }],
  ['a star', 'none', { args: named('*') }],
  ['an empty name', 'none', principals('')],
  ['an empty name and the right one', 'forward', principals('', USER)],
  [
    'a zero byte behind the name',
    'forward',
    { ...principals(`${USER}\0`), differs: 'none' },
  ],
  ['a zero byte in the name', 'none', principals(`${USER}\0x`)],
  ['256 names', 'forward', principals(...many(255), USER)],
  ['257 names', 'none', principals(USER, ...many(256))],
  ['half a name', 'none', signed({ principals: Buffer.from([0, 0, 0, 9, 1]) })],
  [
    'a name without account',
    'none',
    {
      args: named('no-account'),
      user: 'no-account',
      differs: 'forward',
    },
  ],
];

const sources = [
  ['its address', 'forward', (a) => option(`source-address=${a}`)],
  ['another', 'none', () => option(`source-address=${ELSEWHERE}`)],
  ['a net', 'forward', () => option('source-address=127.0.0.0/8')],
  ['another net', 'none', () => option('source-address=10.0.0.0/8')],
  ['several', 'forward', (a) => option(`source-address=${ELSEWHERE},${a}`)],
  ['several others', 'none', () => option('source-address=10.0.0.0/8,::/0')],
].map(([name, want, args]) => [`from ${name}`, want, { args }]);

const sources6 = [
  ['from IPv6', 'forward', { args: option('source-address=::1'), from: '::1' }],
  [
    'from an IPv6 net',
    'forward',
    { args: option('source-address=::/64'), from: '::1' },
  ],
  [
    'from another IPv6 net',
    'none',
    { args: option('source-address=fe80::/10'), from: '::1' },
  ],
  [
    'from IPv4 only',
    'none',
    { args: option('source-address=0.0.0.0/0'), from: '::1' },
  ],
];

const brokenSources = [
  ['from nowhere', 'none', source('')],
  ['from a name', 'none', source('localhost')],
  ['from a pattern', 'none', source('127.*')],
  ['from everywhere but', 'none', source('!10.0.0.0/8,127.0.0.0/8')],
  ['from a net with host bits', 'none', source('127.0.0.1/8')],
  ['from a list with a hole', 'none', source('127.0.0.0/8,,10.0.0.0/8')],
  ['from a list with an open end', 'none', source('127.0.0.0/8,')],
  ['from too long a mask', 'none', source('127.0.0.0/33,127.0.0.0/8')],
  [
    'from a bare string',
    'none',
    signed({
      critical: raw('source-address', '127.0.0.0/8'),
    }),
  ],
  [
    'from somewhere and a byte more',
    'none',
    signed({
      critical: raw(
        'source-address',
        Buffer.concat([string('127.0.0.0/8'), u32(0)]),
      ),
    }),
  ],
  [
    'from somewhere, twice',
    'none',
    critical(
      ['source-address', '127.0.0.0/8'],
      ['source-address', '127.0.0.0/8'],
    ),
  ],
];

const opts = [
  [
    'force-command',
    'forward',
    { args: option('force-command=true'), differs: 'none' },
  ],
  [
    'force-command twice',
    'none',
    critical(['force-command', 'a'], ['force-command', 'a']),
  ],
  [
    'an unknown critical option',
    'none',
    { args: option('critical:new@example.org') },
  ],
  [
    'an unknown one with a value',
    'none',
    { args: option('critical:new@example.org=1') },
  ],
  ['an extension as critical', 'none', critical([PORTS, null])],
  ['a critical option without name', 'none', critical(['', null])],
  [
    'an odd number of strings',
    'none',
    signed({ critical: string('force-command') }),
  ],
  [
    'verify-required of a plain key',
    'forward',
    { args: option('verify-required') },
  ],
  ['verify-required with a value', 'none', critical(['verify-required', 'x'])],
  [
    'verify-required twice',
    'forward',
    critical(['verify-required', null], ['verify-required', null]),
  ],
  [
    'an unknown extension',
    'forward',
    { args: option('extension:new@example.org=1') },
  ],
  [
    'a critical option as extension',
    'forward',
    extensions([PORTS, null], ['force-command', 'x']),
  ],
  ['no extensions', 'login', { args: option('clear') }],
  ['no-port-forwarding', 'login', { args: option('no-port-forwarding') }],
  ['nothing but forwarding', 'forward', { args: option('clear', PORTS) }],
  ['nothing but a terminal', 'login', { args: option('clear', 'permit-pty') }],
  ['forwarding twice', 'forward', extensions([PORTS, null], [PORTS, null])],
  ['forwarding with a value', 'none', extensions([PORTS, 'x'])],
  [
    'a terminal with a value',
    'none',
    extensions([PORTS, null], ['permit-pty', 'x']),
  ],
  [
    'forwarding in upper case',
    'login',
    extensions([PORTS.toUpperCase(), null]),
  ],
  [
    'not in order',
    'forward',
    extensions(['z', null], [PORTS, null], ['a', null]),
  ],
  [
    'an odd number of extensions',
    'none',
    signed({ extensions: string(PORTS) }),
  ],
];

const altered = [
  ...certs.FIELDS.map((name) => [
    `one bit of the field ${name}`,
    'none',
    { change: (fields) => putTogether(flip(fields, name)) },
  ]),
  [
    'a byte more',
    'none',
    { change: (f) => Buffer.concat([putTogether(f), Buffer.alloc(1)]) },
  ],
  ['a byte less', 'none', { change: (f) => putTogether(f).subarray(0, -1) }],
  ['half of it', 'none', { change: (f) => putTogether(f).subarray(0, 100) }],
  [
    'no signature',
    'none',
    { change: (f) => putTogether({ ...f, signature: Buffer.alloc(0) }) },
  ],
  [
    'a byte more in the signature',
    'none',
    {
      change: (f) =>
        putTogether({ ...f, signature: Buffer.concat([f.signature, u32(0)]) }),
    },
  ],
  [
    'the signature of another certificate',
    'none',
    {
      change: (f, { authority }) =>
        putTogether({
          ...f,
          signature: certs.takeApart(
            signAnew({ ...f, serial: u64(9) }, authority.sign),
          ).signature,
        }),
    },
  ],
];

const CA = 'cert-authority';
const deploy = (list) => `${CA},principals="${list}"`;

const lines = [
  ['as it should be', 'forward', { line: CA }],
  ['restrict', 'login', { line: `${CA},restrict` }],
  ['no-port-forwarding', 'login', { line: `no-port-forwarding,${CA}` }],
  [
    'allowed after restrict',
    'forward',
    { line: `restrict,${CA},port-forwarding` },
  ],
  ['allowed by the line only', 'login', { line: CA, args: option('clear') }],
  [
    'allowed by the certificate only',
    'login',
    { line: `${CA},restrict`, args: option('clear', PORTS) },
  ],
  ['upper case', 'forward', { line: 'CERT-AUTHORITY' }],
  ['without cert-authority', 'none', { line: 'restrict,port-forwarding' }],
  ['of a host', 'none', { line: CA, args: ['-h', ...named(USER)] }],
  ['expired', 'none', { line: CA, args: valid('20200101Z:20200102Z') }],
  ['not yet', 'none', { line: CA, args: valid('20370101Z:20370102Z') }],
  ['another principal', 'none', { line: CA, args: named('another') }],
  ['no principals', 'forward', { line: CA, args: [], differs: 'none' }],
  ['one bit of the signature', 'none', { line: CA, ...altered[13][2] }],
  [
    'force-command',
    'forward',
    { line: CA, args: option('force-command=true'), differs: 'none' },
  ],
  [
    'an unknown critical option',
    'none',
    { line: CA, args: option('critical:new@example.org') },
  ],
  ['from', 'forward', { line: (a) => `${CA},from="${a}"` }],
  ['from elsewhere', 'none', { line: `${CA},from="${ELSEWHERE}"` }],
  [
    'source-address',
    'forward',
    { line: CA, args: (a) => option(`source-address=${a}`) },
  ],
  [
    'both of them',
    'forward',
    {
      line: `${CA},from="127.9.*"`,
      args: (a) => option(`source-address=${a}`),
    },
  ],
  [
    'from fits, source-address does not',
    'none',
    { line: `${CA},from="*"`, args: option(`source-address=${ELSEWHERE}`) },
  ],
  [
    'source-address fits, from does not',
    'none',
    {
      line: `${CA},from="${ELSEWHERE}"`,
      args: option('source-address=0.0.0.0/0'),
    },
  ],
  ['expiry-time to come', 'forward', { line: `${CA},expiry-time="20370101"` }],
  ['expiry-time gone by', 'none', { line: `${CA},expiry-time="20200101"` }],
  [
    'permitopen elsewhere',
    'listen',
    { line: `${CA},permitopen="${ELSEWHERE}:1"` },
  ],
  ['permitlisten elsewhere', 'open', { line: `${CA},permitlisten="1"` }],
  [
    'verify-required of a plain key',
    'forward',
    { line: `${CA},verify-required` },
  ],
  ["one bit of the authority's key", 'none', { line: CA, ...altered[12][2] }],
];

const mapped = [
  [
    'its principal',
    'forward',
    { line: deploy('deploy'), args: named('deploy') },
  ],
  [
    'one of several',
    'forward',
    { line: deploy('a,deploy,b'), args: named('deploy') },
  ],
  [
    'several and several',
    'forward',
    { line: deploy('a,deploy'), args: named('x', 'deploy') },
  ],
  ["the user's name is no matter", 'none', { line: deploy('deploy') }],
  ['none of them', 'none', { line: deploy('a,b'), args: named('deploy') }],
  ['another case', 'none', { line: deploy('Deploy'), args: named('deploy') }],
  ['a pattern', 'none', { line: deploy('dep*'), args: named('deploy') }],
  [
    'a star in the certificate',
    'none',
    { line: deploy('deploy'), args: named('*') },
  ],
  [
    'blanks count',
    'none',
    { line: deploy('a, deploy'), args: named('deploy') },
  ],
  ['a certificate without', 'none', { line: deploy('deploy'), args: [] }],
  [
    'with restrict',
    'login',
    { line: `restrict,${deploy('deploy')}`, args: named('deploy') },
  ],
  [
    'forty names',
    'forward',
    { line: deploy([...many(39), 'deploy']), args: named('deploy') },
  ],
  [
    'a hole in the list',
    'none',
    {
      line: deploy('a,,deploy'),
      args: named('deploy'),
      differs: 'forward',
    },
  ],
  ['a quote', 'forward', { line: deploy('a\\"b'), args: named('a"b') }],
  ['a backslash', 'forward', { line: deploy('a\\b'), args: named('a\\b') }],
  [
    'another line takes it',
    'forward',
    {
      args: named('deploy'),
      lines: (ca) => [`${deploy('x')} ${ca}`, `${deploy('deploy')} ${ca}`],
    },
  ],
  [
    'the first line that takes it counts',
    'login',
    {
      args: named('deploy'),
      lines: (ca) => [
        `${deploy('x')} ${ca}`,
        `restrict,${deploy('deploy')} ${ca}`,
        `${deploy('deploy')} ${ca}`,
      ],
    },
  ],
  [
    'a plain line of the authority first',
    'forward',
    {
      lines: (ca) => [`restrict ${ca}`, `${CA} ${ca}`],
    },
  ],
  [
    'the trusted authority has a line too',
    'forward',
    {
      ca: 'lined',
      args: named('deploy'),
    },
  ],
];

// Flags of the signature: 1 touched, 4 verified.
const others = [
  ['security key, touched', 'forward', { key: 'security', prove: 1 }],
  ['security key, not touched', 'none', { key: 'security', prove: 0 }],
  [
    'security key, not touched, allowed to',
    'forward',
    {
      key: 'security',
      prove: 0,
      args: option('no-touch-required'),
      differs: 'none',
    },
  ],
  [
    'security key, not verified',
    'none',
    { key: 'security', prove: 1, args: option('verify-required') },
  ],
  [
    'security key, verified',
    'forward',
    { key: 'security', prove: 5, args: option('verify-required') },
  ],
  [
    'security key, verified, not touched',
    'none',
    { key: 'security', prove: 4, args: option('verify-required') },
  ],
  [
    'security key in a line, touched',
    'forward',
    { key: 'security', prove: 1, line: CA },
  ],
  [
    'security key in a line, not touched',
    'none',
    { key: 'security', prove: 0, line: CA },
  ],
  [
    'security key, the line wants more',
    'none',
    { key: 'security', prove: 1, line: `${CA},verify-required` },
  ],
  [
    'security key, the line gets it',
    'forward',
    { key: 'security', prove: 5, line: `${CA},verify-required` },
  ],
  [
    'security key, only the certificate allows it',
    'none',
    {
      key: 'security',
      prove: 0,
      line: CA,
      args: option('no-touch-required'),
    },
  ],
  ['ECDSA key', 'forward', { key: 'ecdsa', differs: 'none' }],
  ['RSA key', 'forward', { key: 'rsa', differs: 'none' }],
];

const inGroup = (group, rows) =>
  rows.map(([name, want, more]) => ({
    name: `${group}: ${name}`,
    want,
    ...more,
  }));

const cases = [
  ...inGroup('certificate', basics),
  ...inGroup('authority', authorities),
  ...inGroup('validity', validity),
  ...inGroup('principals', names),
  ...inGroup('source-address', [...sources, ...sources6, ...brokenSources]),
  ...inGroup('options', opts),
  ...inGroup('altered', altered),
  ...inGroup('line', lines),
  ...inGroup('principals=', mapped),
  ...inGroup('certified', others),
];

module.exports = { cases };
