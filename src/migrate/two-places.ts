// Before anything is deleted: that the target is not the source under another name, where every copy would be its own original.

import { configError, MailError } from "../mail/errors.ts";
import type { RunContext } from "./context.ts";

/**
 * One account has many names (an alias of its host, an address, another port), and all that is in it would be found "in the
 * target", read back, and deleted. What is made in the one shows in the other only if they are one. Throws MailError config
 * when they are, or when it cannot be told.
 */
export async function demandTwoPlaces({ source, sink, hard }: RunContext): Promise<void> {
  if (sink.mark === undefined) return;
  const mark = await sink.mark(hard).catch((error: unknown) => {
    if (!(error instanceof MailError) || error.details.scope !== "folder") throw error;
    throw configError(
      `it cannot be told whether source and target are one account, and nothing was deleted: ${error.message}`,
      "Copy without --move, and delete the messages with your mail program.",
      error,
    );
  });
  let isSeen = false;
  try {
    for await (const { path } of source.folders(hard)) isSeen ||= path.at(-1) === mark.name;
  } finally {
    await mark.remove();
  }
  if (isSeen)
    throw configError(
      "source and target are one account under two names: nothing was deleted",
      "Name another target; to move folders inside one account use a mail program.",
    );
}
