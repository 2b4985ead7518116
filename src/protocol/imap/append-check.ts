// What the server made of a message that it has stored: flags that it forgot, a date that it ignored, bytes that it changed.

import type { Body } from "../../mail/body.ts";
import type { Loss } from "../../mail/fidelity.ts";
import { hasEightBitHeader } from "../../mail/headers.ts";
import { keyOf } from "../../mail/key.ts";
import { likenessOf, showLikeness } from "../../mail/likeness.ts";
import type { Message } from "../../mail/message.ts";
import type { Received } from "../../mail/model.ts";
import { fetchContent } from "./bodies.ts";
import type { Connection } from "./connection.ts";
import { type FetchRow, fetchAll, parseRow } from "./fetch.ts";
import { flagName } from "./syntax.ts";

/** True when the row alone tells that the copy is as it was sent, with these flags: nothing is left to ask. */
export function isAsSent(row: FetchRow, { body, traits }: Message, size: number, names: readonly string[]): boolean {
  const { received } = traits;
  return (
    row.size === size &&
    !mayBeReplaced(body) &&
    (received === undefined || (received.epochSeconds >= 0 && row.received?.epochSeconds === received.epochSeconds)) &&
    (names.length === 0 || lacking(row, names).length === 0)
  );
}

/** It holds what servers are known to replace by something of the same size. */
function mayBeReplaced({ shape, head }: Body): boolean {
  return shape.hasNul || shape.strayCr > 0 || hasEightBitHeader(head);
}

/** Asks for what is not as it was sent, and mends what can be mended. Throws MailError when that cannot be asked. */
export async function checkCopy(
  connection: Connection,
  uid: number,
  row: FetchRow,
  message: Message,
  size: number,
  names: readonly string[],
): Promise<{ losses: Loss[] } & Partial<Alteration>> {
  const losses: Loss[] = [];
  for (const name of await missingFlags(connection, uid, row, names)) losses.push(flagLoss(name));
  const { received } = message.traits;
  if (received !== undefined && !(await keptDate(connection, uid, row, received))) losses.push({ kind: "received" });
  return { losses, ...(await alteration(connection, uid, message, size, row)) };
}

/** How a copy was altered: in words, and as what is the same for every message of its server. */
export interface Alteration {
  readonly altered: string;
  readonly alteration: readonly string[];
}

/** A flag, by its name in IMAP, that the copy does not have. */
export function flagLoss(name: string): Loss {
  return name.startsWith("\\") ? { kind: "flag", name: name.slice(1).toLowerCase() } : { kind: "keyword", name };
}

/** The flags that the copy lacks although a STORE asked for them again (Exchange forgets \Flagged in APPEND). */
async function missingFlags(
  connection: Connection,
  uid: number,
  row: FetchRow,
  names: readonly string[],
): Promise<readonly string[]> {
  let missing = lacking(row, names);
  if (missing.length === 0) return missing;
  for (const some of missing.length > 1 ? [missing, ...missing.map((name) => [name])] : [missing]) {
    if (missing.length === 0) break;
    await connection.run(`UID STORE ${uid} +FLAGS (${some.join(" ")})`, {
      data: (response) => {
        const told = parseRow(response);
        if (told?.flags === undefined || told.uid !== uid) return false;
        missing = lacking(told, missing);
        return true;
      },
    });
  }
  return missing;
}

async function keptDate(connection: Connection, uid: number, row: FetchRow, received: Received): Promise<boolean> {
  if (row.received?.epochSeconds !== received.epochSeconds) return false;
  if (received.epochSeconds >= 0) return true;
  // Dovecot 2.3 tells a date before 1970 rightly the first time, and from then on what its 32-bit cache made of it.
  const { rows } = await fetchAll(connection, `UID FETCH ${uid} (UID INTERNALDATE)`);
  return rows.some((again) => again.uid === uid && again.received?.epochSeconds === received.epochSeconds);
}

function lacking(row: FetchRow, names: readonly string[]): readonly string[] {
  const has = new Set([...(row.flags ?? [])].map((flag) => flagName(flag).toLowerCase()));
  for (const keyword of row.keywords ?? []) has.add(keyword.toLowerCase());
  return names.filter((name) => !has.has(name.toLowerCase()));
}

/** How the copy differs; undefined when it has the same content key. Read back only where there is a suspicion. */
async function alteration(
  connection: Connection,
  uid: number,
  { body }: Message,
  size: number,
  row: FetchRow,
): Promise<Alteration | undefined> {
  if (!mayBeReplaced(body) && row.size === size) return undefined;
  const copy = await keyOf(fetchContent(connection, uid));
  if (copy.key === body.key) return undefined;
  const likeness = (await likenessOf(body, fetchContent(connection, uid))) ?? { how: ["body"], distance: 0 };
  const sizes = size === copy.shape.size ? "" : ` (${size} octets were sent, ${copy.shape.size} came back)`;
  return { altered: `the server changed it: ${showLikeness(likeness)}${sizes}`, alteration: likeness.how };
}
