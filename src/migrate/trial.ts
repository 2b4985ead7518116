// One deletion alone, and its copy read again: whether what was copied is a second message, or the very one at the source.

import { createReadStream } from "node:fs";
import { unlink } from "node:fs/promises";
import { replaceFile } from "../core/files.ts";
import { readOwn } from "../core/own-file.ts";
import { DEFAULT_PATIENCE, delayToSettle, pause } from "../core/retry.ts";
import { type Body, stage } from "../mail/body.ts";
import { configError, errno, ioError, MailError } from "../mail/errors.ts";
import {
  type Folder,
  type FolderPath,
  NO_TRAITS,
  type Origin,
  type Received,
  SYSTEM_FLAGS,
  samePath,
  showPath,
  type Traits,
} from "../mail/model.ts";
import type { Removable, Removal } from "../mail/removal.ts";
import type { Receipt, SinkFolder } from "../sinks/sink.ts";
import type { RunContext } from "./context.ts";
import { isProved } from "./copy.ts";
import type { DoneRecord } from "./ledger.ts";
import { patiently } from "./patiently.ts";
import type { FolderJob } from "./plan.ts";

/** Durable before the deletion: killed after it, the next run knows what may have to be put back. */
interface Note {
  readonly origin: Origin;
  /** Of the target. */
  readonly folder: FolderPath;
  /** Of every copy with these bytes: which of two twins is the copy of which, nobody knows. */
  readonly refs: readonly string[];
  readonly key: string;
  /** Where the message itself was set aside. */
  readonly path: string;
  readonly flags: readonly string[];
  readonly keywords: readonly string[];
  readonly labels: readonly string[];
  readonly received?: Received;
}

/** "kept": the store did not confirm that it is gone, and nothing is known. "other": it is
 * no longer there, or another one is in its place, which was told. "not-proved": it has no copy that could be read. "short": it may
 * not be all of it. */
export type Verdict = "apart" | "kept" | "other" | "not-proved" | "short";

const WHY =
  "deleted at the source before all others, to see whether its copy is another message; put back if it is not";

/**
 * Deletes this message alone at the source, and reads its copy again as a new client sees it; `careful`: once more after a while,
 * as one server may be behind the other. `marked`: called before the deletion, to record it. Throws MailError config when the copy
 * went with its original; then the message was put back.
 */
export async function tryOne(
  context: RunContext,
  job: FolderJob,
  folder: SinkFolder,
  record: DoneRecord,
  {
    removable,
    removal,
    isShort,
    careful,
    marked,
  }: {
    readonly removable: Removable;
    /** Whether the copy, of so many lines, may be less than its original. */
    readonly isShort: (lines: number) => boolean;
    readonly removal: Removal;
    readonly careful: boolean;
    readonly marked: () => Promise<void>;
  },
): Promise<Verdict> {
  const { origin, receipt, key } = record;
  if (receipt === undefined) return "not-proved";
  const prepared = async (): Promise<Note | "not-proved" | "short"> => {
    let path: string;
    {
      await using body = await copyOf(context, folder, receipt.ref);
      if (body?.key !== key) return "not-proved";
      if (isShort(body.shape.lines)) return "short";
      path = await context.quarantine.setAside(origin, body, WHY);
    }
    // Of the copy, where it has its own: what the source tells may be less.
    const { flags, keywords, labels, received } = (await folder.traits?.(receipt, context.hard)) ?? record.traits;
    return {
      origin,
      folder: job.target.path,
      refs: await equalCopies(context, folder, receipt, key),
      key,
      path,
      flags: [...flags],
      keywords: [...keywords],
      labels: [...labels],
      ...(received === undefined ? {} : { received }),
    };
  };
  const { patience } = context.options;
  const note = await patiently("reading one copy", prepared, { patience, events: context.events }, context.soft);
  if (note === "not-proved" || note === "short") return note;
  context.hold(true);
  await replaceFile(context.trial, `${JSON.stringify(note)}\n`);
  await marked();
  const became = await deleteAlone(context, removable, removal);
  if (became === "other") {
    await forget(context, note);
    return "other";
  }
  const verdict = await conclude(context, job.folder, folder, note, careful);
  if (verdict !== "there") return "not-proved";
  return became === "gone" ? "apart" : "kept";
}

/** What a run that was killed in the middle of it left: looked at before anything else. Throws as tryOne, where messages are to be deleted. */
export async function finishTrial(context: RunContext, jobs: readonly FolderJob[]): Promise<void> {
  const note = await noteIn(context.trial);
  if (note === undefined) return;
  const job = jobs.find(
    ({ folder, target }) => samePath(folder.path, note.origin.folder) && samePath(target.path, note.folder),
  );
  // Not this time: the options leave its folder out.
  if (job === undefined) return;
  const folder = await context.sink.open(job.target, context.hard);
  try {
    await conclude(context, job.folder, folder, note, false);
  } catch (error) {
    if (!(error instanceof OnePlace)) throw error;
    const ledger = await context.ledger.folder(job.plan.name);
    await ledger.put({ state: "removed", origin: note.origin });
    if (context.options.remove !== undefined) throw error;
    await context.events.emit({ type: "notice", text: error.message, insist: true });
  }
}

/** The store's own confirmation, as far as it came. */
async function deleteAlone(
  context: RunContext,
  origin: Removable,
  removal: Removal,
): Promise<"gone" | "other" | "unknown"> {
  const { source, hard, soft, events, options, hold } = context;
  let became: "gone" | "other" | "unknown" = "unknown";
  const telling: Removal = {
    recorded: removal.recorded,
    async changed(id) {
      became = "other";
      await removal.changed(id);
    },
    async absent(id) {
      // Asked again after a fault, it may be gone by the first time.
      if (!isFirst) return;
      became = "other";
      await removal.absent(id);
    },
  };
  let isFirst = true;
  const work = async (): Promise<void> => {
    const alone = (async function* () {
      yield origin;
    })();
    try {
      for await (const _ of source.remove?.(alone, hard, hold, telling) ?? []) became = "gone";
    } finally {
      isFirst = false;
    }
  };
  try {
    await patiently("deleting one message at the source", work, { patience: options.patience, events }, soft);
  } catch (error) {
    // Whatever became of it: the copy tells.
    if (!(error instanceof MailError) || error.code === "locked" || isForAll(error)) throw error;
  }
  return became;
}

function isForAll({ details }: MailError): boolean {
  return details.scope === "account" && details.remedy === "give-up";
}

async function conclude(
  context: RunContext,
  source: Folder,
  folder: SinkFolder,
  note: Note,
  careful: boolean,
): Promise<"there" | "lost"> {
  const { sink, hard, soft, events, options } = context;
  const patience = options.patience ?? DEFAULT_PATIENCE;
  const look = async (): Promise<boolean> => {
    await sink.afresh?.();
    for (const ref of note.refs) if (!(await isReadable(folder, ref, note.key, hard))) return false;
    return true;
  };
  const isThere = (): Promise<boolean> =>
    patiently("reading one copy again", look, { patience: options.patience, events }, soft);
  let there = await isThere();
  if (there && careful) {
    await pause(delayToSettle(1, patience), patience, hard);
    there = await isThere();
  }
  // Deleted by somebody else, if its original is there.
  const isOriginalThere = (): Promise<boolean> => isListed(context, source, note.origin);
  if (
    !there &&
    !(await patiently("looking for one message", isOriginalThere, { patience: options.patience, events }, soft))
  ) {
    await putBack(context, folder, note);
    await forget(context, note);
    throw new OnePlace();
  }
  await forget(context, note);
  return there ? "there" : "lost";
}

async function isReadable(folder: SinkFolder, ref: string, key: string, signal: AbortSignal): Promise<boolean> {
  return await isProved(folder, { ref }, key, signal).catch((error: unknown) => {
    if (error instanceof MailError && error.details.scope === "message") return false;
    throw error;
  });
}

/** The receipts of all messages in the target folder that have the bytes of this copy, itself among them. */
async function equalCopies(
  { hard }: RunContext,
  folder: SinkFolder,
  receipt: Receipt,
  key: string,
): Promise<readonly string[]> {
  const bySize = new Map<number, { ref: string; messageId: string | undefined }[]>();
  let own: { readonly size: number; readonly messageId: string | undefined } | undefined;
  for await (const {
    receipt: { ref },
    size,
    messageId,
  } of folder.copies(undefined, hard)) {
    if (ref === receipt.ref) own = { size, messageId };
    const alike = bySize.get(size);
    if (alike === undefined) bySize.set(size, [{ ref, messageId }]);
    else alike.push({ ref, messageId });
  }
  const refs = [receipt.ref];
  for (const { ref, messageId } of own === undefined ? [] : (bySize.get(own.size) ?? []))
    if (ref !== receipt.ref && messageId === own?.messageId && (await isReadable(folder, ref, key, hard)))
      refs.push(ref);
  return refs;
}

class OnePlace extends MailError {
  constructor() {
    const said = configError(
      "source and target are one place under two names: the copy of the one message that was deleted went with it. It was put back, and nothing else was deleted",
      "Name another target. Copies that are their own originals are none: to have a second one, copy the mail to another place.",
    );
    super(said.code, said.message, said.details);
  }
}

async function isListed({ source, hard }: RunContext, folder: Folder, { generation, id }: Origin): Promise<boolean> {
  let isThere = false;
  const want = ({ origin }: { readonly origin: Origin }): boolean => {
    isThere ||= origin.id === id && origin.generation === generation;
    return false;
  };
  for await (const slice of source.slices(folder, hard))
    for await (const _ of source.read(slice, { want, signal: hard }));
  return isThere;
}

async function copyOf(context: RunContext, folder: SinkFolder, ref: string): Promise<Body | undefined> {
  try {
    return await stage(folder.reopen({ ref }, context.hard), context.staging);
  } catch (error) {
    if (error instanceof MailError && error.details.scope === "message") return undefined;
    throw error;
  }
}

async function putBack(context: RunContext, folder: SinkFolder, note: Note): Promise<void> {
  const { flags, keywords, labels, received } = note;
  const traits: Traits = {
    flags: new Set(SYSTEM_FLAGS.filter((flag) => flags.includes(flag))),
    keywords: new Set(keywords),
    labels: new Set(labels),
    ...(received === undefined ? {} : { received }),
  };
  try {
    await using body = await stage(createReadStream(note.path), context.staging);
    if (body.key !== note.key) throw new Error(`${note.path} has other bytes`);
    context.hold();
    await folder.append({ entry: { origin: note.origin, traits: NO_TRAITS }, traits, body }, context.hard);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw configError(
      `source and target are one place under two names: the copy of the one message that was deleted, of ${showPath(note.origin.folder)}, went with it, and it could not be put back (${why}). It lies in ${note.path}; nothing else was deleted`,
      "Run the same command again without deleting: it tries once more to put it back.",
      error,
    );
  }
}

async function forget(context: RunContext, { origin }: Note): Promise<void> {
  await unlink(context.trial).catch((error: unknown) => {
    if (errno(error) !== "ENOENT") throw ioError(`cannot remove ${context.trial}`, error);
  });
  await context.quarantine.release(origin);
}

async function noteIn(path: string): Promise<Note | undefined> {
  try {
    return JSON.parse((await readOwn(path)).toString("utf8")) as Note;
  } catch (error) {
    // Written as a whole or not at all.
    if (errno(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw ioError(`cannot read ${path}`, error);
  }
}
