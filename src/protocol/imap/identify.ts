// Message-IDs of a whole folder, without any body.

import { messageIdOf } from "../../mail/headers.ts";
import type { Connection } from "./connection.ts";
import { folderRefusal } from "./errors.ts";
import { type FetchRow, fetchRows, ROW_ITEMS } from "./fetch.ts";
import { listRest, UidTrail } from "./listing.ts";

/**
 * One row a message of the selected folder; `unlisted` as for a listing. Throws MailError when the server ends the list with anything
 * but OK.
 */
export async function* identifyMessages(
  connection: Connection,
  exists: number,
  unlisted?: (messages: number) => void,
): AsyncGenerator<{ readonly row: FetchRow & { readonly uid: number }; readonly messageId: string | undefined }> {
  if (exists === 0) return;
  const rows = fetchRows(connection, `UID FETCH 1:* (${ROW_ITEMS} BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])`);
  const seen = new UidTrail();
  let next = await rows.next();
  for (; next.done !== true; next = await rows.next())
    for (const row of next.value) {
      const { uid, header } = row;
      // Rows with less in them were not asked for.
      if (uid === undefined || header === undefined || !seen.add(uid)) continue;
      yield { row: { ...row, uid }, messageId: messageIdOf(header) };
    }
  const { answer, expunged } = next.value;
  if (answer.status !== "OK") throw folderRefusal("the folder cannot be listed", answer);
  if (expunged === 0 && seen.size >= exists) return;
  const rest = listRest(connection, seen, exists - expunged);
  let step = await rest.next();
  for (; step.done !== true; step = await rest.next())
    for (const row of step.value) yield { row, messageId: undefined };
  if (step.value > 0) unlisted?.(step.value);
}
