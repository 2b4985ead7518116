// One message as it stands in an mbox of ours, and the original bytes out of it again.

import { createHash } from "node:crypto";
import type { Body } from "../../mail/body.ts";
import { MailError } from "../../mail/errors.ts";
import { headerValue } from "../../mail/headers.ts";
import { diskRule, type LineEndRule, toCrlf, toDisk } from "../../mail/lineends.ts";
import type { Traits } from "../../mail/model.ts";
import { lookAtHead } from "../mbox/head.ts";
import { hideOwnFields, showOwnFields } from "../mbox/own-fields.ts";
import { fromLine, quoteFrom, statusLines, unquoteFrom } from "../mbox/quote.ts";
import { contentLength, type Place } from "./ref.ts";

export interface StoredForm {
  /** Octets of the From_ line, and of the lines added after it. */
  readonly from: number;
  readonly added: number;
  readonly length: number;
  /** SHA-256 of the original, lower-case hex. */
  readonly sha256: string;
  readonly lines: LineEndRule;
  readonly newline: boolean;
  /** Fields of its own stand under other names. */
  readonly hides: boolean;
}

const NEWLINE = Buffer.from("\n");

/**
 * Hands the message to `write` in pieces: From_ line, state lines, the quoted bytes with LF line ends where that can be undone and
 * with other names for such state lines as it brought along, a newline if it has none at its end, and the blank line that parts it from the next. Throws what reading the body throws, and
 * an Error when the body is not what its shape says.
 */
export async function storeMessage(
  body: Body,
  traits: Traits,
  write: (chunk: Uint8Array) => Promise<void> | undefined,
): Promise<StoredForm> {
  const from = Buffer.from(fromLine(sender(body.head), traits.received), "latin1");
  const added = Buffer.from(`${statusLines(traits)}${continues(body.head) ? END_OF_STATE : ""}`, "latin1");
  const hash = createHash("sha256");
  let size = 0;
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body.open()) {
      hash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  }
  let length = from.length + added.length;
  await write(Buffer.concat([from, added]));
  let hidden = 0;
  const stored = toDisk(hashed(), body.shape);
  const content = mayHoldState(body) ? hideOwnFields(stored, () => hidden++) : stored;
  for await (const chunk of quoteFrom(content)) {
    length += chunk.length;
    await write(chunk);
  }
  if (size !== body.shape.size) throw new Error(`the message has ${size} bytes, and not ${body.shape.size} as before`);
  const newline = !body.shape.finalNewline;
  await write(newline ? Buffer.from("\n\n") : NEWLINE);
  length += newline ? 2 : 1;
  return {
    from: from.length,
    added: added.length,
    length,
    sha256: hash.digest("hex"),
    lines: diskRule(body.shape),
    newline,
    hides: hidden > 0,
  };
}

/** A field that says nothing, for a message that begins as if it went on with the field above it. */
const END_OF_STATE = "X-Mailferry: end of state\n";

function continues(head: Uint8Array): boolean {
  return head[0] === SPACE || head[0] === TAB;
}

const SPACE = 32;
const TAB = 9;

/** A look at most, for ordinary mail. */
function mayHoldState({ head, shape }: Body): boolean {
  const look = lookAtHead(Buffer.from(head.buffer, head.byteOffset, head.byteLength));
  return look.mayHoldState || (look.end === -1 && head.length < shape.size);
}

/** The original bytes out of the stored ones, which are those between the added lines and the added newline. */
export function originalOf(
  stored: AsyncIterable<Uint8Array>,
  { lines, hides }: Pick<Place, "lines" | "hides">,
): AsyncIterable<Uint8Array> {
  const unquoted = unquoteFrom(stored);
  const content = hides ? showOwnFields(unquoted) : unquoted;
  return lines === "lf" ? toCrlf(content) : content;
}

/**
 * The original bytes out of all octets of the message's place. Throws MailError not-found (scope message) when no message of
 * ours lies there: no From_ line before it, or no blank line after it.
 */
export function messageAt(octets: AsyncIterable<Uint8Array>, place: Place): AsyncIterable<Uint8Array> {
  return originalOf(between(octets, place), place);
}

async function* between(octets: AsyncIterable<Uint8Array>, place: Place): AsyncGenerator<Uint8Array> {
  const end = place.head + contentLength(place);
  const head: Uint8Array[] = [];
  const tail: Uint8Array[] = [];
  let at = 0;
  for await (const chunk of octets) {
    const next = at + chunk.length;
    if (at < place.head) head.push(chunk.subarray(0, place.head - at));
    if (at < place.head && next >= place.head && !isHead(Buffer.concat(head))) throw noMessage(place);
    const content = chunk.subarray(Math.max(0, place.head - at), Math.max(0, Math.min(chunk.length, end - at)));
    if (content.length > 0) yield content;
    if (next > end) tail.push(chunk.subarray(Math.max(0, end - at)));
    at = next;
  }
  if (Buffer.concat(tail).toString("latin1") !== "\n".repeat(place.length - end)) throw noMessage(place);
}

function isHead(head: Buffer): boolean {
  return head.toString("latin1", 0, 5) === "From " && head[head.length - 1] === 10;
}

/** What is said of a place that holds no message. */
export function noMessage(place: Place, cause?: unknown): MailError {
  return new MailError("not-found", `the archive holds no message at ${place.entry} ${place.offset}`, {
    scope: "message",
    remedy: "give-up",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Who sent it, as the envelope or else the header says; From_ lines are only for mail programs to look at. */
function sender(head: Uint8Array): string {
  const value = headerValue(head, "Return-Path") ?? headerValue(head, "From") ?? "";
  return /<([^<>]*)>/.exec(value)?.[1] ?? value;
}
