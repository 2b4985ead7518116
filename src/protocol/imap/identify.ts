// Message-IDs of a whole folder, without any body.

import { messageIdOf } from "../../mail/headers.ts";
import type { Connection } from "./connection.ts";
import { folderRefusal } from "./errors.ts";
import { type FetchRow, fetchRows, ROW_ITEMS } from "./fetch.ts";

/** One row a message of the selected folder. Throws MailError when the server ends the list with anything but OK. */
export async function* identifyMessages(
  connection: Connection,
  exists: number,
): AsyncGenerator<{ readonly row: FetchRow & { readonly uid: number }; readonly messageId: string | undefined }> {
  if (exists === 0) return;
  const rows = fetchRows(connection, `UID FETCH 1:* (${ROW_ITEMS} BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])`);
  let next = await rows.next();
  for (; next.done !== true; next = await rows.next())
    for (const row of next.value) {
      const { uid, header } = row;
      // Rows with less in them were not asked for.
      if (uid !== undefined && header !== undefined) yield { row: { ...row, uid }, messageId: messageIdOf(header) };
    }
  if (next.value.answer.status !== "OK") throw folderRefusal("the folder cannot be listed", next.value.answer);
}
