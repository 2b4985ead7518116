// A folder that was made to be seen from elsewhere, and is taken away again: its name is no other folder's anywhere.

import { randomUUID } from "node:crypto";
import { showRaw } from "../../mail/mutf7.ts";
import type { Connection } from "./connection.ts";
import { folderRefusal } from "./errors.ts";
import { mailboxCommand } from "./mailbox.ts";
import type { MailboxTree } from "./tree.ts";

/** Runs `work` on a connection that is lent for it. */
export type Lend = <T>(work: (connection: Connection) => Promise<T>) => Promise<T>;

/** `name` is the last part of its path. Throws MailError of scope folder where the server refuses to make it, or to delete it. */
export async function makeMark(tree: MailboxTree, lend: Lend): Promise<{ name: string; remove(): Promise<void> }> {
  const name = `mailferry-${randomUUID()}`;
  const made = await lend((connection) => tree.ensure(connection, { path: [name], selectable: true }));
  let asked = false;
  return {
    name,
    async remove() {
      // Asked again after a cut, it may be gone by the first time.
      const isAgain = asked;
      asked = true;
      const answer = await lend((connection) => mailboxCommand(connection, "DELETE", made.name));
      if (answer.status !== "OK" && !isAgain)
        throw folderRefusal(`the folder ${showRaw(made.name)} cannot be deleted`, answer);
    },
  };
}
