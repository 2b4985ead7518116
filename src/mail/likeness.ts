// How a copy that is not byte for byte what was sent differs from it: what servers do to mail, field by field.

import type { Body } from "./body.ts";
import { HEADER_LIMIT } from "./body.ts";
import { fieldEnd, fieldName, headerBlock, headerEnd } from "./headers.ts";

export interface Likeness {
  /** What was done, in words that are the same for every message that it was done to: "lone-cr", "added:status", "footer". */
  readonly how: readonly string[];
  /** The smaller, the more alike. */
  readonly distance: number;
}

/** What no program but a server does to mail: whatever else is known, it is the same message. */
const SERVERS_OWN: ReadonlySet<string> = new Set([
  "8bit-header",
  "lone-cr",
  "nul",
  // What servers note in an mbox.
  ...["status", "x-status", "x-uid", "x-uidl", "x-imap", "x-imapbase", "x-keywords", "content-length", "lines"].map(
    (name) => `added:${name}`,
  ),
]);

/** True when all of it is what servers do by themselves, or is known of this one. */
export function isServersWork({ how }: Likeness, isKnown: (what: string) => boolean): boolean {
  return how.every((what) => SERVERS_OWN.has(what) || isKnown(what));
}

const WORDS: Readonly<Record<string, string>> = {
  "8bit-header": "octets above 127 in its header were replaced",
  "lone-cr": "CRs without an LF were taken away or replaced",
  nul: "its NUL octets were replaced",
  footer: "something stands behind its end",
  octets: "octets of its body were replaced",
  body: "its body was written anew",
};

/** In words for people. */
export function showLikeness({ how }: Likeness): string {
  const fields = (kind: string): string[] =>
    how.filter((what) => what.startsWith(`${kind}:`)).map((what) => what.slice(kind.length + 1));
  const parts = how.flatMap((what) => WORDS[what] ?? []);
  for (const kind of ["added", "changed", "dropped"]) {
    const names = fields(kind);
    if (names.length > 0) parts.push(`header fields were ${kind} (${names.join(", ")})`);
  }
  return parts.join("; ");
}

/** Undefined when they are hardly the same message. Throws what reading either throws. */
export async function likenessOf(body: Body, copy: AsyncIterable<Uint8Array>): Promise<Likeness | undefined> {
  const theirs = await beginning(copy);
  const ours = Buffer.from(headerBlock(body.head));
  const header = compareHeaders(fieldsOf(ours), fieldsOf(Buffer.from(headerBlock(theirs.head))));
  if (header === undefined) {
    // A content from a connection is not left half way.
    for await (const _ of theirs.all());
    return undefined;
  }
  const rest = await compareBodies(
    skeleton(skip(body.open(), ours.length)),
    skeleton(skip(theirs.all(), headerBlock(theirs.head).length)),
  );
  const { hasNul, strayCr } = body.shape;
  const how = [...header.how];
  if (rest.is !== "same") how.push(rest.is);
  if (hasNul) how.push("nul");
  if (strayCr > 0) how.push("lone-cr");
  if (how.length === 0) how.push("octets");
  return { how: [...new Set(how)], distance: header.distance + rest.distance };
}

interface Beginning {
  readonly head: Buffer;
  /** From the first octet on; once. */
  all(): AsyncIterable<Uint8Array>;
}

/** As much as its header takes. */
async function beginning(content: AsyncIterable<Uint8Array>): Promise<Beginning> {
  const chunks = content[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.length < HEADER_LIMIT && headerEnd(head) === -1) {
    const { done, value } = await chunks.next();
    if (done === true) break;
    head = Buffer.concat([head, value]);
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    yield head;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
  }
  return { head, all };
}

async function* skip(content: AsyncIterable<Uint8Array>, octets: number): AsyncGenerator<Uint8Array> {
  let left = octets;
  for await (const chunk of content) {
    if (left < chunk.length) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

/** What no server replaces by itself: without line ends, NUL and octets above 127. */
async function* skeleton(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of content) {
    const { buffer, byteOffset, byteLength } = chunk;
    const text = Buffer.from(buffer, byteOffset, byteLength)
      .toString("latin1")
      .replace(/[\0\r\n\x80-\xff]+/g, "");
    if (text !== "") yield Buffer.from(text, "latin1");
  }
}

/** "footer": theirs goes on where ours ends; the shorter it is, the more alike they are. */
async function compareBodies(
  ours: AsyncGenerator<Buffer>,
  theirs: AsyncGenerator<Buffer>,
): Promise<{ readonly is: "same" | "footer" | "body"; readonly distance: number }> {
  const next = async (from: AsyncGenerator<Buffer>): Promise<Buffer | undefined> => (await from.next()).value;
  let mine = await next(ours);
  let other = await next(theirs);
  while (mine !== undefined && other !== undefined) {
    const length = Math.min(mine.length, other.length);
    if (!mine.subarray(0, length).equals(other.subarray(0, length))) break;
    mine = length < mine.length ? mine.subarray(length) : await next(ours);
    other = length < other.length ? other.subarray(length) : await next(theirs);
  }
  const is = mine !== undefined ? "body" : other !== undefined ? "footer" : "same";
  let behind = 0;
  // As above.
  for (; other !== undefined; other = await next(theirs)) behind += other.length;
  await ours.return(undefined);
  return { is, distance: is === "same" ? 0 : is === "footer" ? 3 + behind / (behind + 1000) : 50 };
}

interface Field {
  readonly name: string;
  /** Without white space, line ends and NULs: how a field is folded means nothing. */
  readonly value: string;
}

function fieldsOf(header: Buffer): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < header.length; ) {
    const end = fieldEnd(header, at);
    const name = fieldName(header, at, end) ?? "";
    const text = header.toString("latin1", name === "" ? at : header.indexOf(58, at) + 1, end);
    fields.push({ name, value: text.replace(/[\s\0]+/g, "") });
    at = end;
  }
  return fields.filter(({ name, value }) => name !== "" || value !== "");
}

/** Undefined when less than half of our fields are there. */
function compareHeaders(ours: readonly Field[], theirs: readonly Field[]): Likeness | undefined {
  const left = [...theirs];
  const take = (isIt: (field: Field) => boolean): boolean => {
    const at = left.findIndex(isIt);
    if (at !== -1) left.splice(at, 1);
    return at !== -1;
  };
  const how: string[] = [];
  let kept = 0;
  let distance = 0;
  let open = ours.filter(({ name, value }) => {
    const isThere = take((field) => field.name === name && field.value === value);
    if (isThere) kept++;
    return !isThere;
  });
  open = open.filter(({ name, value }) => {
    const isThere = take((field) => field.name === name && isMasked(value, field.value));
    if (!isThere) return true;
    kept++;
    distance++;
    how.push("8bit-header");
    return false;
  });
  for (const { name } of open) {
    const isChanged = take((field) => field.name === name);
    how.push(`${isChanged ? "changed" : "dropped"}:${name}`);
    distance += isChanged ? 3 : 4;
  }
  for (const { name } of left) how.push(`added:${name}`);
  distance += left.length;
  return kept * 2 < ours.length ? undefined : { how, distance };
}

/** Whether the octets above 127 alone are others, missing, or encoded (RFC 2047). */
function isMasked(ours: string, theirs: string): boolean {
  if (!/[\x80-\xff]/.test(ours)) return false;
  if (theirs.includes("=?")) return true;
  let at = 0;
  for (const piece of ours.split(/[\x80-\xff]+/)) {
    const found = theirs.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return true;
}
