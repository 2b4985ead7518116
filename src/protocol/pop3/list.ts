// LIST and UIDL: which messages there are, how large, and under which lasting names (RFC 1939 5 and 7).

import { MailError } from "../../mail/errors.ts";
import { LISTING_LINE_LIMIT } from "./limits.ts";
import { lineBatches } from "./lines.ts";
import { Listing } from "./listing.ts";
import { type Capabilities, type Reply, replyError } from "./replies.ts";
import type { Maildrop } from "./session.ts";
import type { Wire } from "./wire.ts";

const ROW = /^[ \t]*(\d{1,10})(?:[ \t]+(.*?))?[ \t]*$/s;

/**
 * Every message that LIST or UIDL names. A server without UIDL leaves the ids out; an id is only what may be one (no control
 * characters, not empty). Throws MailError protocol when STAT counted more, or a row makes no sense.
 */
export async function list(wire: Wire, able: Capabilities, maildrop: Maildrop): Promise<Listing> {
  const listing = new Listing();
  const together = able.has("PIPELINING");
  wire.send(together ? "LIST\r\nUIDL" : "LIST");
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
  if (sizes.status !== "+OK" && listing.count < maildrop.messages)
    throw wire.fail(replyError(wire.server, "LIST", sizes, "command"));
  // A message that is counted and not listed would be left out in silence.
  if (listing.count < maildrop.messages)
    throw wire.fail(
      new MailError(
        "protocol",
        `${wire.server.host}:${wire.server.port} counts ${maildrop.messages} messages and lists ${listing.count}`,
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
