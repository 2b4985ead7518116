// Header fields in which mail programs keep what they know of a message in an mbox: those that a message brings along get another
// name, so that whoever reads the mbox finds the container's alone.

const LF = 10;
const CR = 13;
const NOTHING = Buffer.alloc(0);

/** Stands before the name of such a field of the message's own. */
export const OWN_PREFIX = "X-Mailferry-Original-";
const PREFIX = Buffer.from(OWN_PREFIX);
/**
 * What mutt, Dovecot, Alpine, Python, Thunderbird and Evolution go by, with any value: of two fields some take the topmost, others what
 * both say together.
 */
const FIELD =
  /^(?:(?:x-)?status|x-keywords|x-uid|x-imap(?:base)?|x-mozilla-(?:status2?|keys)|x-evolution|content-length)[ \t:]/i;
/** Octets at the beginning of a line that tell what it is. */
const LOOK = Math.max(OWN_PREFIX.length, "x-mozilla-status2:".length);

/**
 * Gives each such field in a message's header the prefix; `onHidden` is told of every one. A line that begins with the prefix gets it
 * once more: so `showOwnFields` is the exact inverse. Exact at any chunk boundary, and holds a few octets between chunks.
 */
export function hideOwnFields(content: AsyncIterable<Uint8Array>, onHidden: () => void): AsyncGenerator<Uint8Array> {
  return rewrite(content, rewriter("hide", onHidden));
}

/** Takes the prefix off every line of the header that begins with it. */
export function showOwnFields(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  return rewrite(content, rewriter("show"));
}

/** The same for the first octets of a message; the very same buffer where no line has the prefix. */
export function shownOwnFields(head: Buffer): Buffer {
  if (!head.includes(PREFIX)) return head;
  const { feed, rest } = rewriter("show");
  return Buffer.concat([feed(head), rest()]);
}

async function* rewrite(
  content: AsyncIterable<Uint8Array>,
  { feed, rest }: ReturnType<typeof rewriter>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    const rewritten = feed(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    if (rewritten.length > 0) yield rewritten;
  }
  const last = rest();
  if (last.length > 0) yield last;
}

/** What `feed` keeps back comes with the next chunk, or with `rest` after the last one. */
function rewriter(mode: "hide" | "show", onHidden: () => void = () => undefined) {
  let held = NOTHING;
  let inHeader = true;
  let beginsLine = true;

  /** The line's first octets as they are to stand; undefined to leave them. */
  function edited(line: Buffer): { put: Buffer; skip: number } | undefined {
    const isPrefixed = line.subarray(0, PREFIX.length).equals(PREFIX);
    if (mode === "show") return isPrefixed ? { put: NOTHING, skip: PREFIX.length } : undefined;
    if (!isPrefixed && !FIELD.test(line.toString("latin1"))) return undefined;
    onHidden();
    return { put: PREFIX, skip: 0 };
  }

  function go(buffer: Buffer, isLast: boolean): Buffer {
    held = NOTHING;
    const parts: Buffer[] = [];
    let from = 0;
    let end = buffer.length;
    let at = beginsLine ? 0 : behindLine(buffer, 0);
    beginsLine = true;
    for (; at < buffer.length; at = behindLine(buffer, at)) {
      const line = buffer.subarray(at, at + LOOK);
      if (line.length < LOOK && !line.includes(LF) && !isLast) {
        held = Buffer.from(line);
        end = at;
        break;
      }
      if (line[0] === LF || (line[0] === CR && line[1] === LF)) {
        inHeader = false;
        break;
      }
      const edit = edited(line);
      if (edit !== undefined) parts.push(buffer.subarray(from, at), edit.put);
      if (edit !== undefined) from = at + edit.skip;
    }
    if (end === buffer.length) beginsLine = buffer[end - 1] === LF;
    return parts.length === 0 ? buffer.subarray(0, end) : Buffer.concat([...parts, buffer.subarray(from, end)]);
  }

  return {
    feed(chunk: Buffer): Buffer {
      if (!inHeader || chunk.length === 0) return chunk;
      return go(held.length === 0 ? chunk : Buffer.concat([held, chunk]), false);
    },
    rest: () => (held.length === 0 ? NOTHING : go(held, true)),
  };
}

/** Behind the next LF; the buffer's length where there is none. */
function behindLine(buffer: Buffer, at: number): number {
  const line = buffer.indexOf(LF, at);
  return line === -1 ? buffer.length : line + 1;
}
