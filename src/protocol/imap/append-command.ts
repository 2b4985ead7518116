// APPEND and MULTIAPPEND on the wire (RFC 3501 6.3.11, RFC 3502), and the UIDs in the answer (RFC 4315).

import { ioError } from "../../mail/errors.ts";
import { crlfOf, toCrlf } from "../../mail/lineends.ts";
import type { Message } from "../../mail/message.ts";
import type { Received } from "../../mail/model.ts";
import type { Tagged } from "./parse.ts";
import { type CommandPart, expandSet, formatInternalDate, type Literal, stringPart } from "./syntax.ts";

/** One message as it goes: with so many octets, and these flags. */
export interface Outgoing {
  readonly message: Message;
  /** Octets on the wire. */
  readonly size: number;
  readonly flags: readonly string[];
  /** The date that the server is asked to give it. */
  readonly received: Received | undefined;
}

/** One command for all of them: several only where the server offers MULTIAPPEND. */
export function appendCommand(name: string, messages: readonly Outgoing[]): CommandPart[] {
  const parts: CommandPart[] = ["APPEND ", stringPart(name)];
  for (const { message, size, flags, received } of messages) {
    const date = received === undefined ? undefined : formatInternalDate(received);
    parts.push(` ${flags.length === 0 ? "" : `(${flags.join(" ")}) `}${date === undefined ? "" : `${date} `}`);
    parts.push(literal(message, size));
  }
  return parts;
}

function literal({ body }: Message, size: number): Literal {
  const { bytes, shape } = body;
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* toCrlf(body.open());
    } catch (error) {
      throw ioError("a staged message cannot be read", error);
    }
  };
  if (bytes === undefined) return { size, chunks };
  // Changed only when it is written, so that no second copy waits.
  return { size, chunks, whole: () => (shape.crlf === shape.lines ? bytes : crlfOf(bytes)) };
}

/**
 * The folder's UIDVALIDITY and the UIDs that an append of so many messages got, in their order. Undefined where the answer does
 * not say, or names another count of them, or out of order: then nobody knows which is which.
 */
export function appendedUids(
  { code, argument = "" }: Tagged,
  count: number,
): { readonly uidValidity: string; readonly uids?: readonly number[] } | undefined {
  if (code !== "APPENDUID") return undefined;
  const [uidValidity = "", set = ""] = argument.split(" ");
  const uids = expandSet(set, count);
  // RFC 3501 2.3.1.1: UIDs ascend in the order in which the messages were added.
  const isSane =
    uids !== undefined &&
    uids.length === count &&
    uids.every((uid, at) => uid > (uids[at - 1] ?? 0) && uid <= 0xffffffff);
  return isSane ? { uidValidity, uids } : { uidValidity };
}

/** RFC 3501 6.3.11, RFC 5530: there is no such folder. */
export function isMissing({ code }: Tagged): boolean {
  return code === "TRYCREATE" || code === "NONEXISTENT";
}
