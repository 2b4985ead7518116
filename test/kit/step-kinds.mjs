// Names the steps of a command by what they are for: which file is written, which record, which command and which answer.

/** Where a file lies, and what it is there for; the first that fits. */
const PLACES = [
  [/(^|\/)lock([./]|$)/, "lock"],
  [/\/ledger(\/|$)/, "journal"],
  [/\/staging(\/|$)/, "staging"],
  [/\.zip\.part$|\/(mailferry|[^/]*\.part\.d)\/tmp(\/|$)/, "zip part"],
  [/\.zip$/, "zip"],
  [/\/spool\/.*\.mbox$/, "spool"],
  [/\/spool(\/|$)/, "spool notes"],
  [/\/mailferry(\/|$)|\.part\.d(\/|$)/, "archive notes"],
  // A folder of its own below another: not the system's.
  [/[^/]\/tmp(\/[^/]*)?$/, "maildir tmp"],
  [/\/cur(\/[^/]*)?$/, "maildir cur"],
];

/** What the records of a journal say, the weightiest first. */
const RECORDS = [
  [/"s":"removed"/, "removed"],
  [/"m":1/, "mark"],
  [/"s":"(done|altered)"/, "done"],
  [/"s":"failed"/, "failed"],
  [/"s":"close"/, "close"],
  [/"s":"open"/, "open"],
];

/** @param {unknown} path @returns {string} */
export function placeOf(path) {
  const text = path instanceof URL ? path.pathname : String(path);
  for (const [pattern, name] of PLACES) if (pattern.test(text)) return name;
  return "file";
}

/** @param {string} place @param {string} text what is written, as far as it is known */
export function writeTo(place, text) {
  if (place !== "journal") return `write ${place}`;
  const [, record = "head"] = RECORDS.find(([pattern]) => pattern.test(text)) ?? [];
  return `write journal ${record}`;
}

/** What leaves a trace at a server, by the word that asks for it. */
const TRACES = /\b(APPEND|CREATE|UID STORE|UID EXPUNGE|EXPUNGE|UID MOVE|UID COPY|SUBSCRIBE|DELE|QUIT)\b/;
/** @param {string} text what a client sends @returns {string | undefined} the word, when it holds a command that leaves a trace */
export function traceOf(text) {
  return TRACES.exec(text)?.[1];
}

/** Whether a command is over with this answer. @param {string} text */
export function completes(text) {
  return /^(\S+ (OK|NO|BAD)\b|\+OK|-ERR)/m.test(text);
}
