'use strict';

/**
 * Calls stop() on the first SIGINT or SIGTERM and force() on the second.
 * Returns a function that takes the handlers off again.
 */
function onStopSignals(stop, force) {
  let asked = false;
  const handler = () => {
    if (asked) force();
    else stop();
    asked = true;
  };
  process.on('SIGINT', handler).on('SIGTERM', handler);
  return () => process.off('SIGINT', handler).off('SIGTERM', handler);
}

module.exports = { onStopSignals };
