// A message's header as the splitter meets it: where it ends, and whether a mail program may have kept its state in it.

const CR = 13;
const LF = 10;
/** Most headers are shorter. */
const FIRST_LOOK = 2048;

export interface HeadLook {
  /** The offset of the blank line that ends the header; -1 when none begins in these octets. */
  readonly end: number;
  /** False when no field here can be one of those that formats/mbox/state.ts reads. */
  readonly mayHoldState: boolean;
  /** The offset of the Content-Type field where it says multipart (or message); -1 when none does. */
  readonly multipart: number;
  /** A line here begins with the word From, and is no field. */
  readonly hasFromLine: boolean;
}

/** One pass over the first octets of a message. What stands behind the header does not count. */
export function lookAtHead(octets: Buffer): HeadLook {
  const first = lookAt(octets.toString("latin1", 0, FIRST_LOOK), octets.length);
  return first.end !== -1 || octets.length <= FIRST_LOOK ? first : lookAt(octets.toString("latin1"), octets.length);
}

/** `whole`: how many octets there are in all; a CR at the end of a shorter text may be half a line end. */
function lookAt(text: string, whole: number): HeadLook {
  let mayHoldState = false;
  let multipart = -1;
  let hasFromLine = false;
  let at = 0;
  do {
    const char = text.charCodeAt(at);
    if (char === LF || (char === CR && text.charCodeAt(at + 1) === LF))
      return { end: at, mayHoldState, multipart, hasFromLine };
    if (multipart === -1 && (char | 32) === C && isMultipart(text, at)) multipart = at;
    if (char === F) hasFromLine ||= isFromLine(text, at);
    mayHoldState ||= mayBeState(text, at, char);
    at = text.indexOf("\n", at) + 1;
  } while (at > 0 && at < text.length);
  return { end: -1, mayHoldState: mayHoldState || text.length < whole, multipart, hasFromLine };
}

const F = 70;
const C = 99;
const T = 116;
const MULTIPART = /content-type[ \t]*:[ \t]*(?:\r?\n[ \t]+)?m/iy;

function isMultipart(text: string, at: number): boolean {
  if ((text.charCodeAt(at + 8) | 32) !== T || (text.charCodeAt(at + 11) | 32) !== 101) return false;
  MULTIPART.lastIndex = at;
  return MULTIPART.test(text);
}

function isFromLine(text: string, at: number): boolean {
  const behind = text.charCodeAt(at + 4);
  return text.startsWith("From", at) && (behind === 32 || behind === LF || behind === CR);
}

const X_FIELDS = new Set(["st", "ke", "ui", "im", "mo", "gm", "ev"]);

/**
 * By some letters of the name: Status, Content-Length, X-Status, X-Keywords, X-UID, X-IMAP*, X-Mozilla-*, X-Gmail-Labels, X-Evolution,
 * X-Mailferry-Original-*. A field whose name is cut off by the end of the text may be anything.
 */
function mayBeState(text: string, at: number, first: number): boolean {
  switch (first | 32) {
    case 115: // s
      return at + 1 >= text.length || (text.charCodeAt(at + 1) | 32) === 116;
    case 99: // c
      return at + 8 >= text.length || (text.charCodeAt(at + 8) | 32) === 108;
    case 120: // x
      if (at + 6 >= text.length) return true;
      return X_FIELDS.has(text.slice(at + 2, at + 4).toLowerCase()) || isOurs(text, at);
    default:
      return false;
  }
}

/** X-Mailf…; X-Mailer and X-Mailman-* are in every other message. */
function isOurs(text: string, at: number): boolean {
  return (text.charCodeAt(at + 6) | 32) === 102 && (text.charCodeAt(at + 2) | 32) === 109;
}
