// Messages that came together take each step together: what is awaited is awaited once for all of them.

import type { Fate } from "../core/group.ts";
import { type Loss, narrow } from "../mail/fidelity.ts";
import type { Message } from "../mail/message.ts";
import type { SinkFolder, Stored } from "../sinks/sink.ts";
import { isFiltered, type RunContext } from "./context.ts";
import {
  copyMessage,
  doneRecord,
  type Item,
  isTooLarge,
  type LATER,
  receivedOf,
  type Settled,
  setAltered,
  type Target,
} from "./copy.ts";
import type { DoneRecord } from "./ledger.ts";

interface Ready {
  readonly item: Item;
  readonly at: number;
  readonly losses: readonly Loss[];
  readonly message: Message;
}

/**
 * The fates of these messages, in order; a failure of what they share is the fate of each. Those that the ledger or the target
 * may know already go one by one.
 */
export async function copyTogether(
  context: RunContext,
  target: Target,
  items: readonly Item[],
): Promise<readonly Fate<Settled | typeof LATER>[]> {
  const fates: Fate<Settled | typeof LATER>[] = new Array<Fate<Settled | typeof LATER>>(items.length);
  const singly = async (at: number, item: Item): Promise<void> => {
    try {
      fates[at] = { value: await copyMessage(context, target, item) };
    } catch (error) {
      fates[at] = { error };
    }
  };
  let alone = items.length === 1 || context.options.prove === true;
  try {
    alone ||= (await target.candidates()).size > 0;
  } catch (error) {
    return items.map(() => ({ error }));
  }
  const ready: Ready[] = [];
  const tasks: Promise<void>[] = [];
  let at = -1;
  for (const item of items) {
    at++;
    const made = alone ? undefined : prepare(context, target, item, at);
    if (made === undefined) tasks.push(singly(at, item));
    else ready.push(made);
  }
  if (ready.length > 0) tasks.push(copyReady(context, target, ready, fates));
  await Promise.all(tasks);
  return fates;
}

/** Undefined for a message that is to go by itself. */
function prepare({ options, room }: RunContext, { folder, ledger }: Target, item: Item, at: number): Ready | undefined {
  const { entry, body } = item;
  const received = receivedOf(entry, body);
  if (isFiltered(entry, options, received, body.shape.size) || isTooLarge(folder, body)) return undefined;
  if (ledger.mayHold(entry.origin) || room.refuses(body.shape.size) !== undefined) return undefined;
  const traits = received === undefined ? entry.traits : { ...entry.traits, received };
  const { kept, losses } = narrow(traits, folder.fidelity);
  return { item, at, losses, message: { entry, traits: kept, body } };
}

/** Messages that nobody knows: appended, recorded, done. Does not throw. */
async function copyReady(
  context: RunContext,
  target: Target,
  ready: readonly Ready[],
  fates: Fate<Settled | typeof LATER>[],
): Promise<void> {
  const { ledger, folder } = target;
  const kept: { readonly at: number; readonly record: DoneRecord; readonly settled: Settled }[] = [];
  try {
    await target.begin();
    const messages = ready.map(({ message }) => message);
    context.hold();
    const stored = await appendAll(folder, messages, context.hard);
    let next = 0;
    for (const { item, at, losses } of ready) {
      const fate = stored[next++] ?? { error: new Error("a sink returned no fate for one of its messages") };
      if ("error" in fate) {
        fates[at] = fate;
        continue;
      }
      const { receipt, altered, alteration } = fate.value;
      const all = fate.value.losses === undefined ? losses : [...losses, ...fate.value.losses];
      if (altered !== undefined) {
        fates[at] = await fateOf(
          setAltered(context, target, item, { receipt, note: altered, alteration, losses: all }),
        );
        continue;
      }
      const record = doneRecord(ledger, "done", item.entry, item.body, receipt, false, all);
      kept.push({ at, record, settled: { as: "copied", losses: all, unnamed: receipt === undefined } });
    }
    await ledger.putAll(kept.map(({ record }) => record));
    for (const { at, settled } of kept) fates[at] = { value: settled };
  } catch (error) {
    for (const { at } of ready) fates[at] ??= { error };
  }
}

async function appendAll(
  folder: SinkFolder,
  messages: readonly Message[],
  signal: AbortSignal,
): Promise<readonly Fate<Stored>[]> {
  if (folder.appendAll !== undefined) return await folder.appendAll(messages, signal);
  return await Promise.all(messages.map((message) => fateOf(folder.append(message, signal))));
}

function fateOf<R>(work: Promise<R>): Promise<Fate<R>> {
  return work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
}
