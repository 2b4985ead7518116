// LIST and UIDL: which messages there are, how large, and under which lasting names (RFC 1939 5 and 7).

import { plural } from "../../core/words.ts";
import { MailError } from "../../mail/errors.ts";
import { LISTING_LINE_LIMIT } from "./limits.ts";
import { lineBatches } from "./lines.ts";
import { Listing } from "./listing.ts";
import { type Capabilities, type Reply, replyError } from "./replies.ts";
import type { Wire } from "./wire.ts";

const ROW = /^[ \t]*(\d{1,10})(?:[ \t]+(.*?))?[ \t]*$/s;

export interface Maildrop {
  readonly messages: number;
  readonly bytes: number;
}

/** Throws MailError protocol where the server says no number. */
export async function stat(wire: Wire): Promise<Maildrop> {
  wire.send("STAT");
  return counts(wire);
}

async function counts(wire: Wire): Promise<Maildrop> {
  const reply = await wire.reply();
  if (reply.status !== "+OK") throw wire.fail(replyError(wire.server, "STAT", reply, "command"));
  const [messages = Number.NaN, bytes = Number.NaN] = reply.text.split(/[ \t]+/).map(Number);
  if (!Number.isSafeInteger(messages) || messages < 0) throw wire.fail(wire.protocolError("no count to STAT"));
  return { messages, bytes: Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : 0 };
}

/**
 * Every message that LIST or UIDL names. A server without UIDL leaves the ids out; an id is only what may be one (no control
 * characters, not empty). `known` is what STAT said earlier in this session; without it STAT is asked too, in the same round
 * trip where the server can. Throws MailError protocol when STAT counted more, or a row makes no sense.
 */
export async function list(wire: Wire, able: Capabilities, known?: Maildrop): Promise<Listing> {
  const listing = new Listing();
  const together = able.has("PIPELINING");
  const maildrop = known ?? (together ? undefined : await stat(wire));
  if (!together) wire.send("LIST");
  else wire.send(maildrop === undefined ? "STAT\r\nLIST\r\nUIDL" : "LIST\r\nUIDL");
  const { messages } = maildrop ?? (await counts(wire));
  const sizes = await wire.reply();
  if (sizes.status === "+OK")
    await rows(wire, "LIST", (number, value) => {
      const size = /^\d{1,15}/.exec(value)?.[0];
      return listing.addSize(number, Number(size ?? 0));
    });
  if (!together) wire.send("UIDL");
  const ids = await wire.reply();
  if (ids.status === "+OK")
    await rows(wire, "UIDL", (number, value) => listing.addId(number, isId(value) ? value : undefined));
  else if (lastsOnlyNow(ids, able)) throw wire.fail(replyError(wire.server, "UIDL", ids, "command"));
  if (sizes.status !== "+OK" && listing.count < messages)
    throw wire.fail(replyError(wire.server, "LIST", sizes, "command"));
  // A message that is counted and not listed would be left out in silence.
  if (listing.count < messages)
    throw wire.fail(
      new MailError(
        "protocol",
        `${wire.server.host}:${wire.server.port} counts ${plural(messages, "message")} and lists ${listing.count}`,
        { scope: "account", remedy: "retry", outcome: "none", hint: "Run the same command again in a while." },
      ),
    );
  return listing;
}

async function rows(wire: Wire, command: string, take: (number: number, value: string) => boolean): Promise<void> {
  let count = 0;
  for await (const batch of lineBatches(wire, LISTING_LINE_LIMIT))
    for (const line of batch) {
      const match = ROW.exec(line);
      let taken = false;
      try {
        taken = match !== null && take(Number(match[1]), match[2] ?? "");
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
      if (!taken) throw wire.fail(wire.protocolError(`a row of ${command} that makes no sense`));
      count++;
    }
  wire.note("S", `(${count} rows)`);
}

function isId(text: string): boolean {
  return text !== "" && !/[\x00-\x1f\x7f]/.test(text);
}

/** A refused UIDL means "not here" only from a server that never promised it. Else ids would change from run to run. */
function lastsOnlyNow(reply: Reply, able: Capabilities): boolean {
  return able.has("UIDL") || (reply.code !== undefined && reply.code !== "SYS/PERM");
}
