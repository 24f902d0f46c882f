'use strict';

// The words of nginx: status lines and the pages that go with them.

const DEFAULT_SERVER = 'nginx/1.22.1';

// What stands on a status line. nginx names only these; any other status of
// its own is a number and nothing else.
const reasons = {
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  206: 'Partial Content',
  301: 'Moved Permanently',
  302: 'Moved Temporarily',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Not Allowed',
  412: 'Precondition Failed',
  413: 'Request Entity Too Large',
  414: 'Request-URI Too Large',
  416: 'Requested Range Not Satisfiable',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Temporarily Unavailable',
  504: 'Gateway Time-out',
  505: 'HTTP Version Not Supported',
};

// Numbers that exist inside nginx only: they go out as 400, with a page that
// says more.
const BAD_HEADER_SIZE = 494;
const PLAIN_TO_TLS = 497;
const details = {
  [BAD_HEADER_SIZE]: 'Request Header Or Cookie Too Large',
  [PLAIN_TO_TLS]: 'The plain HTTP request was sent to HTTPS port',
};

const padding =
  '<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n'.repeat(
    6,
  );

/** What follows the version on the status line. */
function statusLine(status) {
  return `${status} ${reasons[status] ?? ''}`;
}

/** The status that a number of nginx's own goes out with. */
function statusOf(code) {
  return code in details ? 400 : code;
}

// nginx pads its error pages for browsers that replace short ones.
function wantsPadding(request) {
  const agent = request.headers.get('user-agent');
  if (agent === undefined || request.version < 1000) return false;
  const msie = agent.indexOf('MSIE ');
  if (agent.includes('Opera')) return false;
  if (msie !== -1 && msie + 7 < agent.length) return true;
  return !agent.includes('Gecko/') && agent.includes('Chrome/');
}

/** The page of an error or a redirect, as a Buffer. */
function page(code, request, server) {
  const title = details[code]
    ? `400 ${details[code]}`
    : `${code} ${reasons[code]}`;
  const heading = details[code] ? '400 Bad Request' : title;
  const lines = [
    '<html>',
    `<head><title>${title}</title></head>`,
    '<body>',
    `<center><h1>${heading}</h1></center>`,
    ...(details[code] ? [`<center>${details[code]}</center>`] : []),
    `<hr><center>${server}</center>`,
    '</body>',
    '</html>',
    '',
  ];
  const text = lines.join('\r\n');
  const padded = code >= 400 && wantsPadding(request);
  return Buffer.from(padded ? text + padding : text, 'latin1');
}

module.exports = {
  BAD_HEADER_SIZE,
  DEFAULT_SERVER,
  PLAIN_TO_TLS,
  page,
  statusLine,
  statusOf,
};
