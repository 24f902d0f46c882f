'use strict';
// Reads TAP and counts tests. A test is a TEST() of a C program or a t.test()
// (or bare assertion) of a JavaScript file; checks inside are not counted, so
// that a loop does not make the numbers look better.

const point = /^( *)(not )?ok\b(?: (\d+))?(?: - )?(.*)$/;

// `depth` is where tests stand: 0 for one program's own output, 1 for tap's
// runner, where depth 0 is the file.
class Counter {
  constructor({ depth = 0 } = {}) {
    this.depth = depth;
    this.passed = 0;
    this.failed = 0;
    this.skipped = 0;
    this.failures = [];
    this.skips = [];
    this.plan = null;
    this.seen = 0;
    this._inFile = { points: 0, failed: 0 };
    this._inYaml = null;
  }

  line(text) {
    if (this._yaml(text)) return;
    const plan = /^1\.\.(\d+)/.exec(text);
    if (plan) this.plan = Number(plan[1]);
    if (/^Bail out!/.test(text)) this._fail(text);
    const m = point.exec(text);
    if (!m) return;
    const depth = m[1].length / 4;
    if (depth === 0) this.seen++;
    if (depth === this.depth) this._point(!m[2], m[4]);
    else if (depth === 0) this._file(!m[2], m[4]);
  }

  // A failing point may carry a YAML block with any text in it.
  _yaml(text) {
    if (this._inYaml !== null) {
      if (text === `${this._inYaml}...`) this._inYaml = null;
      return true;
    }
    const m = /^( +)---$/.exec(text);
    if (m) this._inYaml = m[1];
    return Boolean(m);
  }

  _point(ok, rest) {
    const directive = /(?:^|\s)# (skip|todo)\b:?\s*(.*)$/i.exec(rest);
    const name = rest.replace(/\s# (time=|skip\b|todo\b).*$/i, '').trim();
    this._inFile.points++;
    if (directive) {
      this.skipped++;
      const why = directive[2] || directive[1].toLowerCase();
      this.skips.push(`${name} (${why})`);
    } else if (ok) {
      this.passed++;
    } else {
      this._inFile.failed++;
      this._fail(name);
    }
  }

  // A file that failed without a failed test (crash, time-out, no plan)
  // counts as one failure; one that was skipped as a whole as one skip.
  _file(ok, rest) {
    const name = rest.replace(/\s# (time=|skip\b).*$/i, '').trim();
    const skip = /\s# skip\b:?\s*(.*)$/i.exec(rest);
    if (!ok && this._inFile.failed === 0) this._fail(`${name} (file)`);
    else if (ok && this._inFile.points === 0) {
      if (skip) {
        this.skipped++;
        this.skips.push(`${name} (${skip[1].trim() || 'skipped'})`);
      } else this._fail(`${name} (no tests in it)`);
    }
    this._inFile = { points: 0, failed: 0 };
  }

  _fail(name) {
    this.failed++;
    this.failures.push(name);
  }

  // The end of the program. Anything unclean counts as one more failure.
  end({ code = 0, signal = null } = {}) {
    if (signal) this._fail(`ended by ${signal}`);
    else if (code !== 0 && this.failed === 0) this._fail(`exit code ${code}`);
    else if (this.plan === null) this._fail('no plan: it ended early');
    else if (this.plan !== this.seen) {
      this._fail(`planned ${this.plan} tests, ran ${this.seen}`);
    }
    return this;
  }
}

function emptyTotal() {
  return { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
}

function add(total, part, label = '') {
  const named = (names) =>
    names.map((name) => (label ? `${label}: ${name}` : name));
  total.passed += part.passed;
  total.failed += part.failed;
  total.skipped += part.skipped;
  total.failures.push(...named(part.failures ?? []));
  total.skips.push(...named(part.skips ?? []));
  return total;
}

// The line that ends every run: `N passed, N failed[, N skipped]`.
function summary({ passed, failed, skipped }) {
  const line = `${passed} passed, ${failed} failed`;
  return skipped > 0 ? `${line}, ${skipped} skipped` : line;
}

module.exports = { Counter, emptyTotal, add, summary };
