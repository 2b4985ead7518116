// Flag changes after the fact: equal changes go together, a STORE for many UIDs.

import type { Fate } from "../../core/group.ts";
import { MailError } from "../../mail/errors.ts";
import type { TraitChange } from "../../mail/model.ts";
import type { Connection } from "./connection.ts";
import { folderRefusal } from "./errors.ts";
import type { Tagged } from "./parse.ts";
import { changeKey, flagNames, uidSet } from "./syntax.ts";

export interface FlagChange {
  readonly uid: number;
  readonly change: TraitChange;
}

/**
 * Applies each change; one fate an item, in order. A change with a keyword that IMAP cannot write is applied but for that, and
 * fails with a MailError that names it. UIDs that are gone are no failure (RFC 3501 6.4.8).
 */
export async function storeChanges(connection: Connection, items: readonly FlagChange[]): Promise<Fate<void>[]> {
  const groups = new Map<string, { change: TraitChange; indices: number[] }>();
  for (const [index, { change }] of items.entries()) {
    const key = changeKey(change);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { change, indices: [index] });
    else group.indices.push(index);
  }
  const fates: Fate<void>[] = items.map(() => ({ value: undefined }));
  await Promise.all(
    [...groups.values()].map(async ({ change, indices }) => {
      const uids = [...new Set(indices.map((index) => items[index]?.uid ?? 0))].sort((a, b) => a - b);
      const added = flagNames(change.add);
      const removed = flagNames(change.remove);
      const answers: Promise<Tagged>[] = [];
      for (let at = 0; at < uids.length; ) {
        const { set, next } = uidSet(uids, at, uids.length);
        at = next;
        if (added.names.length > 0)
          answers.push(connection.run(`UID STORE ${set} +FLAGS.SILENT (${added.names.join(" ")})`));
        if (removed.names.length > 0)
          answers.push(connection.run(`UID STORE ${set} -FLAGS.SILENT (${removed.names.join(" ")})`));
      }
      const refused = (await Promise.all(answers)).find(({ status }) => status !== "OK");
      const error =
        refused !== undefined
          ? flagRefusal(refused)
          : added.refused.length > 0
            ? new MailError("malformed", `IMAP cannot keep the keyword ${JSON.stringify(added.refused[0])}`, {
                scope: "message",
                remedy: "give-up",
              })
            : undefined;
      if (error !== undefined) for (const index of indices) fates[index] = { error };
    }),
  );
  return fates;
}

/** What is refused for good are these flags alone: it keeps no message from coming. */
function flagRefusal(answer: Tagged): MailError {
  const error = folderRefusal("flags cannot be changed", answer);
  const { scope, remedy } = error.details;
  if (scope !== "folder" || remedy !== "give-up" || error.code === "not-found") return error;
  return new MailError(error.code, error.message, { ...error.details, scope: "message" });
}
