// Deleting single messages: UID EXPUNGE of exactly these, or a move to the Trash where a server works as Gmail does.

import type { Hold } from "../../core/lock.ts";
import { configError, MailError } from "../../mail/errors.ts";
import type { Origin } from "../../mail/model.ts";
import { showRaw } from "../../mail/mutf7.ts";
import type { Connection } from "./connection.ts";
import { folderRefusal } from "./errors.ts";
import { fetchAll } from "./fetch.ts";
import { selectMailbox } from "./mailbox.ts";
import { stringPart, uidSet } from "./syntax.ts";

/** EXPUNGE takes away a label here, and the message stays in All Mail. */
export function worksAsGmail(connection: Connection): boolean {
  return connection.has("X-GM-EXT-1");
}

/**
 * Gives the Trash that deleting has to go through, where the server works as Gmail does. Throws MailError config when the server cannot delete single messages safely.
 */
export function demandRemoval(connection: Connection, host: string, trash: string | undefined): string | undefined {
  const hint = "Nothing was deleted. Leave --move out and delete the messages with your mail program.";
  const hasMove = worksAsGmail(connection) && connection.has("MOVE");
  // RFC 4315: without it EXPUNGE takes along whatever else is marked \Deleted.
  if (!connection.has("UIDPLUS") && !hasMove)
    throw configError(`${host} cannot delete single messages safely (it has no UIDPLUS)`, hint);
  if (!worksAsGmail(connection)) return undefined;
  if (trash === undefined)
    throw configError(
      `${host} works as Gmail does and shows no Trash, through which deleting has to go`,
      'Switch on "Show in IMAP" for the Trash in the account\'s settings, or leave --move out.',
    );
  return trash;
}

/** Deletes exactly these messages of one folder, and gives those that are gone afterwards. `trash`: see above. */
export async function removeMessages(
  connection: Connection,
  name: string,
  batch: readonly Origin[],
  trash: string | undefined,
  hold: Hold = () => undefined,
): Promise<Origin[]> {
  const { uidValidity, readOnly } = await selectMailbox(connection, name, false);
  if (batch.some(({ generation }) => generation !== uidValidity))
    throw new MailError(
      "not-found",
      `the folder ${showRaw(name)} was made anew since it was read; nothing was deleted in it`,
      {
        scope: "folder",
        remedy: "give-up",
      },
    );
  if (readOnly)
    throw new MailError("config", `the folder ${showRaw(name)} can only be read; nothing was deleted in it`, {
      scope: "folder",
      remedy: "give-up",
    });
  const byUid = new Map(batch.map((origin) => [Number(origin.id), origin]));
  const uids = [...byUid.keys()].filter((uid) => Number.isInteger(uid) && uid > 0).sort((a, b) => a - b);
  const gone: Origin[] = [];
  for (let at = 0; at < uids.length; ) {
    const { set, next } = uidSet(uids, at, uids.length);
    // In the Trash itself deleting is for good.
    await (trash === undefined || trash === name
      ? expunge(connection, name, set, hold)
      : discard(connection, name, set, trash, hold));
    const { rows, answer } = await fetchAll(connection, `UID FETCH ${set} (UID)`);
    if (answer.status !== "OK") throw folderRefusal(`it cannot be seen what was deleted in ${showRaw(name)}`, answer);
    const left = new Set(rows.map(({ uid }) => uid));
    for (const uid of uids.slice(at, next)) {
      const origin = byUid.get(uid);
      if (origin !== undefined && !left.has(uid)) gone.push(origin);
    }
    at = next;
  }
  return gone;
}

/** Nothing else that is marked \Deleted goes (RFC 4315 2.1). */
async function expunge(connection: Connection, name: string, set: string, hold: Hold): Promise<void> {
  if (!connection.has("UIDPLUS"))
    throw new MailError("config", `messages in ${showRaw(name)} cannot be deleted safely: the server has no UIDPLUS`, {
      scope: "folder",
      remedy: "give-up",
    });
  hold(true);
  const marked = await connection.run(`UID STORE ${set} +FLAGS.SILENT (\\Deleted)`);
  if (marked.status !== "OK") throw folderRefusal(`messages in ${showRaw(name)} cannot be marked as deleted`, marked);
  hold(true);
  const expunged = await connection.run(`UID EXPUNGE ${set}`);
  if (expunged.status !== "OK") throw folderRefusal(`messages in ${showRaw(name)} cannot be deleted`, expunged);
}

/** RFC 6851; without it a copy in the Trash first, so that nothing is ever in neither. */
async function discard(connection: Connection, name: string, set: string, trash: string, hold: Hold): Promise<void> {
  const verb = connection.has("MOVE") ? "MOVE" : "COPY";
  hold(true);
  const answer = await connection.run([`UID ${verb} ${set} `, stringPart(trash)]);
  if (answer.status !== "OK")
    throw folderRefusal(`messages in ${showRaw(name)} cannot be moved to ${showRaw(trash)}`, answer);
  if (verb === "COPY") await expunge(connection, name, set, hold);
}
