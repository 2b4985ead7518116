// What the suites on refusals share: jobs between two scripted accounts, and what came of them.

import type { MigrationEvent, RunSummary } from "../../src/migrate/events.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { expectSame } from "./contents.ts";
import type { Instead, Manners, ScriptedAccount } from "./imap-account.ts";
import { type Bench, intoAccount, type Job, signal } from "./jobs.ts";

type Talk = Parameters<NonNullable<Manners["before"]>>[1];

/** Says these words; BYE ends the connection. */
export function say(words: string, talk: Talk): Instead {
  if (words !== "BYE") return words;
  talk.send("* BYE going down\r\n");
  talk.end();
  return "done";
}

/** From one account to another; `wanted` is what the source held when this was called. */
export async function between(bench: Bench, from: ScriptedAccount, to: ScriptedAccount): Promise<Job> {
  const held = await from.keys();
  return {
    ...intoAccount(bench, to),
    source: () => openImapSource(from.server(), signal),
    wanted: async () => held,
  };
}

export async function expectHeld(job: Job, wanted?: ReadonlyMap<string, string[]>): Promise<void> {
  expectSame(wanted ?? (await job.wanted()), await job.arrived());
}

export function inbox(account: ScriptedAccount) {
  return account.mailboxes.get("INBOX")?.messages ?? [];
}

export function ofType<T extends MigrationEvent["type"]>(
  events: readonly MigrationEvent[],
  type: T,
): Extract<MigrationEvent, { type: T }>[] {
  return events.filter((event): event is Extract<MigrationEvent, { type: T }> => event.type === type);
}

/** Losses as "kind name", each with the number of its messages. */
export function lossesOf(summary: RunSummary | undefined): Record<string, number> {
  const losses = (summary?.losses ?? []).map(({ loss, messages }) => [
    "name" in loss ? `${loss.kind} ${loss.name}` : loss.kind,
    messages,
  ]);
  return Object.fromEntries(losses) as Record<string, number>;
}
