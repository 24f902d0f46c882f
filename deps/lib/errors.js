'use strict';

/** A failure that the user is told about in words, without a stack. */
class DepsError extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.name = 'DepsError';
    this.exitCode = exitCode;
  }
}

/** The message for errors of the system that a user can do something about. */
function explain(err) {
  if (err instanceof DepsError) return err.message;
  if (err.code === 'ENOSPC') {
    return `no space left on the device${err.path ? ` (${err.path})` : ''}; free some or set WRAITH_CACHE to a directory elsewhere`;
  }
  if (err.code === 'EACCES' || err.code === 'EROFS' || err.code === 'EPERM') {
    return `${err.message}; set WRAITH_CACHE to a directory that can be written`;
  }
  return null;
}

module.exports = { DepsError, explain };
