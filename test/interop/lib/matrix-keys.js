'use strict';
// Lines of authorized_keys: [name, what sshd decides, options, more]. Options
// may be a function of the address that the probe comes from. More:
//   bad: true         wraith refuses the whole file for this line
//   differs: '…'      what wraith decides instead (with bad: nobody gets in)
//   file: (key, a) => the lines themselves, where one plain line is not it
//   from: '::1'       the address of the probe; there is no other one of IPv6,
//                     and more than three failures would keep it out
//   type, sign        another type of key; the flags of a security key

// The local time of the test is five and a half hours ahead of UTC.
const ZONE = 'WRT-05:30';
const AHEAD = 5.5 * 3600;

/** YYYYMMDDHHMMSS of a second since 1970; in UTC with a Z behind it. */
const digits = (s) =>
  new Date(s * 1000).toISOString().slice(0, 19).replace(/[-T:]/g, '');
const utc = (s) => `${digits(s)}Z`;
const local = (s) => digits(s + AHEAD);
const now = () => Math.floor(Date.now() / 1000);
const HOUR = 3600;

const expiry = (text) => `expiry-time="${text}"`;
const from = (list) => (a) => `from="${list.replaceAll('ADDR', a)}"`;
const ELSEWHERE = '192.0.2.1';

const bare = ({ line }) => line.split(' ').slice(0, 2).join(' ');
const twice = ({ line }, ...options) =>
  options.map((text) => `${text} ${line}`).join('\n');

const flags = [
  ['no options', 'forward', ''],
  ['restrict', 'login', 'restrict'],
  ['port-forwarding', 'forward', 'port-forwarding'],
  ['no-port-forwarding', 'login', 'no-port-forwarding'],
  ['allowed after restrict', 'forward', 'restrict,port-forwarding'],
  ['restrict comes last', 'login', 'port-forwarding,restrict'],
  ['on, then off', 'login', 'port-forwarding,no-port-forwarding'],
  ['off, then on', 'forward', 'no-port-forwarding,port-forwarding'],
  ['upper case', 'login', 'RESTRICT'],
  ['any case', 'forward', 'ReStRiCt,Port-Forwarding'],
  ['upper case with no-', 'login', 'NO-PORT-FORWARDING'],
  ['pty', 'forward', 'pty'],
  ['no-pty', 'forward', 'no-pty'],
  ['agent-forwarding', 'forward', 'agent-forwarding'],
  ['no-agent-forwarding', 'forward', 'no-agent-forwarding'],
  ['X11-forwarding', 'forward', 'X11-forwarding'],
  ['no-X11-forwarding', 'forward', 'no-X11-forwarding'],
  ['user-rc', 'forward', 'user-rc'],
  ['no-user-rc', 'forward', 'no-user-rc'],
  ['all that is no matter', 'forward', 'no-pty,no-user-rc,no-x11-forwarding'],
  ['restrict and pty', 'login', 'restrict,pty,agent-forwarding,user-rc'],
  ['touch-required', 'forward', 'touch-required'],
  ['verify-required', 'forward', 'verify-required'],
  ['the same flag twice', 'login', 'restrict,restrict'],
  ['cert-authority', 'none', 'cert-authority'],
  ['principals', 'none', 'principals="root"', { bad: true }],
];

const sources = [
  ['its address', 'forward', from('ADDR')],
  ['another address', 'none', from(ELSEWHERE)],
  ['its address as a net', 'forward', from('ADDR/32')],
  ['a net', 'forward', from('127.0.0.0/8')],
  ['another net', 'none', from('127.9.128.0/17')],
  ['every address', 'forward', from('0.0.0.0/0')],
  ['every IPv6 address', 'none', from('::/0')],
  ['a pattern', 'forward', from('127.9.*')],
  ['a pattern with ?', 'forward', from('127.?.*')],
  ['another pattern', 'none', from('127.8.*')],
  ['any text', 'forward', from('*')],
  ['all but its address', 'none', from('*,!ADDR')],
  ['the same the other way round', 'none', from('!ADDR,*')],
  ['all but its net', 'none', from('!127.0.0.0/8,*')],
  ['all but another net', 'forward', from('!10.0.0.0/8,127.0.0.0/8')],
  ['nothing but a negation', 'none', from('!10.0.0.0/8')],
  ['not by a pattern', 'none', from('*,!127.9.*')],
  ['several', 'forward', from(`${ELSEWHERE},ADDR`)],
  ['several nets', 'forward', from('10.0.0.0/8,127.0.0.0/8')],
  ['several others', 'none', from(`${ELSEWHERE},10.0.0.0/8`)],
  ['names and its address', 'forward', from('*.example.org,ADDR')],
  ['a name', 'none', from('gate.example.org')],
  ['localhost is a name', 'none', from('localhost')],
  ['a blank in front', 'none', from(' ADDR')],
  ['no address at all', 'none', from('300.1.1.1')],
  ['too long a mask', 'none', from('127.0.0.1/33'), { bad: true }],
  ['a mask that is no number', 'none', from('127.0.0.0/x')],
  ['a mask in dots', 'none', from('127.0.0.0/255.0.0.0')],
  ['IPv4 inside IPv6', 'none', from('::ffff:ADDR')],
  ['FROM', 'forward', (a) => `FROM="${a}"`],
  ['with restrict', 'login', (a) => `from="${a}",restrict`],
  ['IPv6', 'forward', from('::1'), { from: '::1' }],
  ['IPv6 as a net', 'forward', from('::/64'), { from: '::1' }],
  ['IPv6 written out', 'forward', from('0:0:0:0:0:0:0:1'), { from: '::1' }],
  ['IPv6 in brackets', 'none', from('[::1]'), { from: '::1' }],
  ['IPv4 only', 'none', from('0.0.0.0/0'), { from: '::1' }],
  ['not IPv6', 'none', from('*,!::1'), { from: '::1' }],
  ['a net with host bits', 'none', from('127.0.0.1/8'), { bad: true }],
  [
    'such a net behind a match',
    'none',
    from('ADDR,127.0.0.1/8'),
    { bad: true },
  ],
  ['an empty list', 'none', from(''), { bad: true }],
  ['an empty entry', 'none', from('ADDR,'), { bad: true }],
  ['only a !', 'none', from('ADDR,!'), { bad: true }],
];

const times = [
  ['a day gone by', 'none', expiry('20200101')],
  ['a day to come', 'forward', expiry('20370101')],
  ['a minute to come', 'forward', expiry('203701012359')],
  ['a second to come', 'forward', expiry('20370101235959')],
  ['a minute gone by', 'none', expiry('202001012359')],
  ['a day in UTC', 'forward', expiry('20370101Z')],
  ['a small z', 'forward', expiry('20370101z')],
  ['UTC', 'forward', expiry('20370101UTC')],
  ['a minute in UTC gone by', 'none', expiry('202001012359Z')],
  ['after 2038', 'forward', expiry('20991231235959Z')],
  ['in an hour, local time', 'forward', () => expiry(local(now() + HOUR))],
  ['an hour ago, local time', 'none', () => expiry(local(now() - HOUR))],
  ['in an hour, UTC', 'forward', () => expiry(utc(now() + HOUR))],
  ['an hour ago, UTC', 'none', () => expiry(utc(now() - HOUR))],
  ['UTC read as local time', 'none', () => expiry(digits(now() + HOUR))],
  ['the earlier of two', 'none', `${expiry('20370101')},${expiry('20200101')}`],
  [
    'the earlier comes first',
    'none',
    `${expiry('20200101')},${expiry('20370101')}`,
  ],
  ['with restrict', 'login', `restrict,${expiry('20370101')}`],
  ['EXPIRY-TIME', 'none', 'EXPIRY-TIME="20200101"'],
  ['words', 'none', expiry('tomorrow'), { bad: true }],
  ['a year', 'none', expiry('2037'), { bad: true }],
  ['no such month', 'none', expiry('20371301'), { bad: true }],
  ['no such day', 'none', expiry('20370132'), { bad: true }],
  ['no such hour', 'none', expiry('203701012400'), { bad: true }],
  ['no such minute', 'none', expiry('203701010060'), { bad: true }],
  ['a sign', 'none', expiry('2037-101'), { bad: true }],
  ['nothing', 'none', expiry(''), { bad: true }],
  ['the year 1970', 'none', expiry('19700101Z'), { bad: true }],
  ['a zone', 'none', expiry('20370101+01'), { bad: true }],
];

const refusedByUs = { bad: true, differs: 'none' };
const broken = [
  ['an unknown option', 'none', 'nonsense', { bad: true }],
  ['an unknown option with a value', 'none', 'nonsense="1"', { bad: true }],
  [
    'an option of certificates',
    'none',
    'permit-port-forwarding',
    { bad: true },
  ],
  ['a longer name', 'none', 'restricted', { bad: true }],
  ['no-restrict', 'none', 'no-restrict', { bad: true }],
  ['a flag with a value', 'none', 'restrict="yes"', { bad: true }],
  ['no value', 'none', 'from', { bad: true }],
  ['no quotes', 'none', (a) => `from=${a}`, { bad: true }],
  ['no end of the quotes', 'none', 'from="*', { bad: true }],
  ['text behind the quotes', 'none', 'from="*"x', { bad: true }],
  ['from twice', 'none', 'from="*",from="*"', { bad: true }],
  ['principals twice', 'none', 'principals="a",principals="b"', { bad: true }],
  ['a quote inside', 'none', 'from="\\"*"'],
  ['a comma in quotes', 'forward', 'from="10.0.0.0/8,*",pty'],
  ['command', 'forward', 'command="true"', refusedByUs],
  [
    'command with quotes and commas',
    'login',
    'command="echo \\"a, b\\"",restrict',
    refusedByUs,
  ],
  ['environment', 'forward', 'environment="A=1"', refusedByUs],
  ['tunnel', 'forward', 'tunnel="0"', refusedByUs],
  ['no-touch-required', 'forward', 'no-touch-required', refusedByUs],
];

// What sshd takes although nobody would write it.
const odd = [
  ['a comma at the end', 'login', 'restrict,'],
  ['a comma in front', 'login', ',restrict'],
  ['two commas', 'login', 'restrict,,pty'],
  ['nothing but a comma', 'forward', ','],
  ['no-verify-required', 'forward', 'verify-required,no-verify-required'],
  ['no-cert-authority', 'none', 'no-cert-authority', { bad: true }],
  ['a slash in front of the port', 'listen', 'permitopen="127.0.0.1/1"'],
  ['no host', 'listen', 'permitopen=":1"'],
  ['zeros in front of the port', 'listen', 'permitopen="127.0.0.1:0001"'],
  ['a blank in the host', 'listen', 'permitopen="a b:1"'],
  ['a plus sign', 'listen', 'permitopen="127.0.0.1:+1"', refusedByUs],
  ['a blank in the port', 'listen', 'permitopen="127.0.0.1: 1"', refusedByUs],
  ['any port of any host', 'forward', 'permitlisten="*"'],
  ['the end of February', 'forward', expiry('20370230'), refusedByUs],
  ['second sixty', 'forward', expiry('20370101235960'), refusedByUs],
  ['a blank in a time', 'forward', expiry('2037 101'), refusedByUs],
  ['an octal number', 'forward', from('0177.0.0.0/8')],
  ['half an address', 'none', from('127/8'), { bad: true }],
  ['zeros in an address', 'none', from('127.009.*')],
  ['no net', 'forward', from('127.9.*,/8')],
  ['a mask with a zero', 'forward', from('127.9.*,10.0.0.0/08')],
];

const files = [
  ['a comment', 'none', { file: (k) => `# ${k.line}` }],
  ['blanks in front', 'forward', { file: (k) => ` \t ${k.line}` }],
  ['a tab behind the options', 'login', { file: (k) => `restrict\t${k.line}` }],
  ['blanks between', 'login', { file: (k) => `restrict   ${k.line}` }],
  ['CRLF', 'login', { file: (k) => `restrict ${k.line}\r` }],
  ['CRLF without comment', 'forward', { file: (k) => `${bare(k)}\r` }],
  ['without comment', 'login', { file: (k) => `restrict ${bare(k)}` }],
  ['a comment like options', 'forward', { file: (k) => `${bare(k)} restrict` }],
  [
    'the second line accepts',
    'forward',
    { file: (k, a) => twice(k, `from="${ELSEWHERE}"`, `from="${a}"`) },
  ],
  [
    'the second line is not expired',
    'forward',
    { file: (k) => twice(k, expiry('20200101'), expiry('20370101')) },
  ],
  [
    'the first that accepts counts',
    'login',
    { file: (k) => twice(k, 'restrict', 'port-forwarding') },
  ],
  [
    'the first that accepts, the other way round',
    'forward',
    { file: (k) => twice(k, 'port-forwarding', 'restrict') },
  ],
  [
    'an authority first',
    'login',
    { file: (k) => twice(k, 'cert-authority', 'restrict') },
  ],
  [
    'principals first',
    'login',
    { file: (k) => twice(k, 'principals="x"', 'restrict'), ...refusedByUs },
  ],
  [
    'both lines refuse',
    'none',
    { file: (k) => twice(k, from(ELSEWHERE)(), expiry('20200101')) },
  ],
  [
    'a bad line first',
    'forward',
    { file: (k) => `nonsense ${k.line}\n${k.line}`, ...refusedByUs },
  ],
  ['no key', 'none', { file: () => 'restrict', bad: true }],
  [
    'another type in front',
    'none',
    { file: (k) => k.line.replace(/^\S+/, 'ssh-rsa'), bad: true },
  ],
  [
    'broken base64',
    'none',
    { file: (k) => bare(k).replace(/.{5}$/, '!!!!!'), bad: true },
  ],
  ['cut short', 'none', { file: (k) => bare(k).slice(0, -8), bad: true }],
  [
    'an RSA key',
    'forward',
    { type: ['rsa', '-b', '2048', '-m', 'PEM'], ...refusedByUs },
  ],
  ['an ECDSA key', 'forward', { type: ['ecdsa', '-m', 'PEM'], ...refusedByUs }],
];

// Flags of the signature: 1 touched, 4 verified.
const securityKeys = [
  ['touched', 'forward', '', { sign: 1 }],
  ['not touched', 'none', '', { sign: 0 }],
  ['touched and verified', 'forward', '', { sign: 5 }],
  ['verified only', 'none', '', { sign: 4 }],
  ['touch-required, touched', 'forward', 'touch-required', { sign: 1 }],
  ['touch-required, not touched', 'none', 'touch-required', { sign: 0 }],
  ['verify-required, touched', 'none', 'verify-required', { sign: 1 }],
  ['verify-required, verified', 'forward', 'verify-required', { sign: 5 }],
  ['verify-required, only verified', 'none', 'verify-required', { sign: 4 }],
  ['restrict', 'login', 'restrict', { sign: 1 }],
  [
    'no-touch-required',
    'forward',
    'no-touch-required',
    { sign: 0, ...refusedByUs },
  ],
];

const inGroup = (group, rows) =>
  rows.map(([name, want, ...rest]) => {
    const [options, more] = typeof rest[0] === 'object' ? ['', rest[0]] : rest;
    const text = typeof options === 'function' ? options : () => options ?? '';
    return { name: `${group}: ${name}`, want, options: text, ...more };
  });

const cases = [
  ...inGroup('key', flags),
  ...inGroup('from', sources),
  ...inGroup('expiry-time', times),
  ...inGroup('options', broken),
  ...inGroup('odd', odd),
  ...inGroup('file', files),
  ...inGroup('security key', securityKeys),
];

module.exports = { ZONE, cases, expiry, local, utc };
