'use strict';

// Dates as HTTP writes them, in whole seconds.

const months = 'JanFebMarAprMayJunJulAugSepOctNovDec';
const clock = '([0-9]{2}):([0-9]{2}):([0-9]{2})';
const forms = [
  new RegExp(`^[^, ]*, *([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ${clock}`),
  new RegExp(`^[^, ]*, *([0-9]{2})-([A-Z][a-z]{2})-([0-9]{2}) ${clock}`),
];
const asctime = new RegExp(
  `^[^, ]* +([A-Z][a-z]{2})  ?([0-9]{1,2}) ${clock} ([0-9]{4})`,
);

function httpDate(seconds) {
  return new Date(seconds * 1000).toUTCString();
}

/** Seconds of a date in one of HTTP's three forms, or null. */
function parseDate(text) {
  for (const form of forms) {
    const m = form.exec(text);
    if (m) return seconds(m[3], m[2], m[1], m.slice(4, 7));
  }
  const m = asctime.exec(text);
  return m ? seconds(m[6], m[1], m[2], m.slice(3, 6)) : null;
}

function seconds(yearText, monthName, dayText, time) {
  let year = Number(yearText);
  if (yearText.length === 2) year += year < 70 ? 2000 : 1900;
  const month = months.indexOf(monthName) / 3;
  const day = Number(dayText);
  const [hour, minute, second] = time.map(Number);
  if (!Number.isInteger(month) || month < 0) return null;
  if (hour > 23 || minute > 59 || second > 59) return null;
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  if (date.getUTCMonth() !== month || day < 1) return null;
  date.setUTCHours(hour, minute, second);
  return date.getTime() / 1000;
}

module.exports = { httpDate, parseDate };
