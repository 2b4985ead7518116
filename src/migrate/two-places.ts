// Before anything is deleted: that the target is not the source under another name, where every copy would be its own original.

import { DEFAULT_PATIENCE, delayToSettle, pause } from "../core/retry.ts";
import { showCount } from "../core/words.ts";
import { configError, MailError } from "../mail/errors.ts";
import type { Mark, Sink } from "../sinks/sink.ts";
import type { RunContext } from "./context.ts";
import { patiently } from "./patiently.ts";

/**
 * One account has many names (an alias of its host, an address, another port, another protocol), and all that is in it would be
 * found "in the target", read back, and deleted. What is made in the one shows in the other only if they are one. True when it
 * does; undefined when it cannot be told in this way. A server that counts its folders by itself may be behind: "again" asks it as
 * a new client, "later" after a while.
 */
export async function isOneAccount(
  { source, sink, hard, soft, events, options }: RunContext,
  thorough: "no" | "again" | "later" = "no",
): Promise<boolean | undefined> {
  // Only stores of one kind show each other's folders.
  if (sink.mark === undefined || source.kind !== sink.kind) return undefined;
  const mark = await makeMark(sink, hard);
  if (mark === undefined) return undefined;
  const isSeen = async (): Promise<boolean> => {
    let seen = false;
    for await (const { path } of source.folders(hard)) seen ||= path.at(-1) === mark.name;
    return seen;
  };
  try {
    if (await isSeen()) return true;
    if (thorough === "no") return false;
    const patience = options.patience ?? DEFAULT_PATIENCE;
    if (thorough === "later") await pause(delayToSettle(1, patience), patience, hard);
    await source.afresh?.();
    return await isSeen();
  } finally {
    const { patience } = options;
    await patiently("removing what was made to compare", () => mark.remove(), { patience, events }, soft);
  }
}

async function makeMark(sink: Sink, hard: AbortSignal): Promise<Mark | undefined> {
  try {
    return await sink.mark?.(hard);
  } catch (error) {
    if (!(error instanceof MailError) || error.details.scope !== "folder") throw error;
    return undefined;
  }
}

/** True when it is known that source and target are two. Throws MailError config when they are one. */
export async function demandTwoAccounts(context: RunContext, thorough: "no" | "again"): Promise<boolean> {
  const isOne = await isOneAccount(context, thorough);
  if (isOne === true)
    throw configError(
      "source and target are one account under two names: nothing was deleted",
      "Name another target; to move folders inside one account use a mail program.",
    );
  return isOne === false;
}

/**
 * Says so when nothing is to be deleted, and everything was found in the target by the first run: then source and target may be one
 * place, and there is no second copy of anything.
 */
export async function suspectOnePlace(context: RunContext): Promise<void> {
  const { tally, options, events, soft } = context;
  const { adopted, copied, altered, "already-copied": before } = tally.balance();
  if (options.recheck === true || adopted === 0 || copied + altered + before > 0) return;
  let isOne: boolean | undefined;
  try {
    isOne = await isOneAccount(context, "later");
  } catch (error) {
    // The run itself came to its end.
    if (soft.aborted || !(error instanceof MailError)) throw error;
  }
  if (isOne === false) return;
  const text =
    isOne === true
      ? "source and target are one account under two names: nothing was copied, and there is no second copy of anything"
      : `all ${showCount(adopted)} messages were found in the target by the first run: if source and target are one place under two names, there is no second copy of anything`;
  await events.emit({ type: "notice", text, insist: true });
}
