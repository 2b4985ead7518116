// A Maildir++ as a sink: an archive of our own, or a Maildir that another program filled.

import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ensureDirectory, syncDirectory } from "../core/files.ts";
import type { GroupCommit } from "../core/group.ts";
import type { Hold } from "../core/lock.ts";
import { ARCHIVE_HOME, openArchive, readArchiveId } from "../formats/archive.ts";
import { messageContent } from "../formats/maildir/content.ts";
import { type Delivery, delivery } from "../formats/maildir/delivery.ts";
import { folderId, type MailFolder, makeFolder, openMailFolder, sweepTmp } from "../formats/maildir/folder.ts";
import { addFolderNote, FOLDER_MAP, type FolderNote, readFolderMap } from "../formats/maildir/folder-map.ts";
import { folderNames, needsPath } from "../formats/maildir/folder-names.ts";
import { entriesOf, isMaildir } from "../formats/maildir/layout.ts";
import { changeTimesNow, messageFiles } from "../formats/maildir/listing.ts";
import { announcedSize, parseFileName } from "../formats/maildir/names.ts";
import { type BytePath, toBytes } from "../formats/maildir/paths.ts";
import { type Retouch, retouching } from "../formats/maildir/retouch.ts";
import { isWhole, moveOut, noFiles } from "../formats/maildir/spoilt.ts";
import { addSubscriptions } from "../formats/maildir/subscriptions.ts";
import { isShortened } from "../formats/own-files.ts";
import { configError, errno, ioError, MailError } from "../mail/errors.ts";
import { FULL_FIDELITY } from "../mail/fidelity.ts";
import type { Folder } from "../mail/model.ts";
import type { FolderPlan, Setback, Sink, SinkFolder, Stood } from "./sink.ts";

/** Enough to fill a batch of fsyncs; each append in flight holds one open file. */
const WRITES = 256;
const FOLDERS = 32;
/** What may lie in a directory that counts as empty. */
const IGNORED = new Set([ARCHIVE_HOME, "lost+found", ".DS_Store"]);

/**
 * Opens a target for writing; it may be missing, empty, an archive of ours, or any Maildir. Nothing is made before the first `open`
 * of a folder. Throws MailError config when something else is there.
 */
export async function openMaildirSink(options: { readonly path: string }, signal: AbortSignal): Promise<Sink> {
  const root = resolve(options.path);
  const ownId = await demandMaildir(root);
  signal.throwIfAborted();
  const id = ownId ?? randomUUID();
  const home = join(root, ARCHIVE_HOME);
  const map = join(home, FOLDER_MAP);
  const isLost = await isShortened(home, FOLDER_MAP);
  const names = folderNames(root, await readFolderMap(map), isLost);
  /** Undefined for one that holds no mail. Thousands that nobody works in any more are not kept: they are as they lie on the disk. */
  const opened = new Map<string, Opened | undefined>();
  const inodes = new Map<string, string>();
  const subscribed = new Set<string>();
  let hold: Hold = () => undefined;
  const guarded: Hold = (now) => hold(now);
  const gathered = { delivery: delivery(guarded), retouches: retouching(guarded) };
  let begun: Promise<void> | undefined;
  let rootMade = false;
  let turn: Promise<unknown> = Promise.resolve();

  const planOf = async (folder: Folder): Promise<FolderPlan & { readonly directory: string }> => {
    const directory = await names.directoryFor(folder.path);
    return { name: directory === "" ? "INBOX" : directory, path: folder.path, fidelity: FULL_FIDELITY, directory };
  };
  const begin = async (): Promise<void> => {
    await ensureDirectory(root).catch((error: unknown) => {
      throw ioError(`cannot make ${root}`, error);
    });
    await syncDirectory(join(root, ".."));
    const made = await openArchive(root, "maildir", id);
    if (made.id !== id)
      throw configError(`another run has just made ${root}`, "Run the same command again when that one has ended.");
    rootMade = (await makeFolder(root, true)).created;
    await ensureDirectory(join(home, "traits"));
    await syncDirectory(home);
  };
  const remember = async (folder: Folder, directory: string): Promise<void> => {
    const { path, selectable, use } = folder;
    const note: FolderNote = {
      directory,
      selectable,
      ...(needsPath(path, directory) ? { path } : {}),
      ...(use === undefined || use === "inbox" ? {} : { use }),
    };
    const known = names.note(directory);
    const isPlain = selectable && note.path === undefined && note.use === undefined;
    if (known === undefined ? isPlain : JSON.stringify(known) === JSON.stringify(note)) return;
    // A use that the source tells no more (or this source never told) is not forgotten.
    const merged = known?.use === undefined || note.use !== undefined ? note : { ...note, use: known.use };
    if (JSON.stringify(known) === JSON.stringify(merged)) return;
    await addFolderNote(map, merged);
    names.learn(merged);
  };
  const openNow = async (folder: Folder, stop: AbortSignal, stood: Stood | undefined): Promise<SinkFolder> => {
    stop.throwIfAborted();
    begun ??= begin();
    await begun.catch((error: unknown) => {
      begun = undefined;
      throw error;
    });
    for (;;) {
      const plan = await planOf(folder);
      const { directory } = plan;
      if (folder.subscribed === true) subscribed.add(directory);
      const known = opened.get(directory);
      if (!folder.selectable) {
        if (!opened.has(directory)) {
          await remember(folder, directory);
          opened.set(directory, undefined);
        }
        return unselectable(plan);
      }
      const present = known?.mail.deref();
      // Made for the one who opened it first; whoever comes later may find mail.
      if (known !== undefined && present !== undefined)
        return folderSink(
          plan,
          { id: known.id, created: false, ...setBack(known.setback) },
          present,
          join(home, "spoilt", known.id),
          gathered,
        );
      const path = directory === "" ? root : join(root, directory);
      const made = await makeFolder(path, directory === "");
      const inode = inodeOf(path);
      if ((inodes.get(inode) ?? directory) !== directory) {
        // A link, or a file system to which two names are one: no two folders share a directory.
        names.refuse(folder.path, directory);
        subscribed.delete(directory);
        continue;
      }
      await remember(folder, directory);
      if (!made.fresh) await sweepTmp(path);
      const mail = await openMailFolder(toBytes(path), toBytes(join(home, "traits", `${made.id}.jsonl`)), made.fresh);
      const created = directory === "" ? rootMade && known === undefined : made.created;
      // What stood there was looked at by the one who opened it first.
      const looks = known === undefined && stood !== undefined;
      const setback = looks ? await setbackOf(toBytes(path), stood) : known?.setback;
      opened.set(directory, { id: made.id, setback, mail: new WeakRef(mail) });
      inodes.set(inode, directory);
      return folderSink(
        plan,
        { id: made.id, created, ...setBack(setback) },
        mail,
        join(home, "spoilt", made.id),
        gathered,
      );
    }
  };

  return {
    kind: "maildir",
    identity: `maildir:${id}`,
    limits: { writes: WRITES, folders: FOLDERS },
    home,
    storesLf: true,
    apart: "appended",
    guard: (given) => {
      hold = given;
    },
    describe: async (folder) => {
      const { name, path, fidelity } = await planOf(folder);
      return { name, path, fidelity };
    },
    async isGone({ path }, generation, _, stood) {
      const directory = toBytes(join(root, await names.directoryFor(path)));
      const id = folderId(directory);
      if (id === undefined || (generation !== undefined && id !== generation)) return true;
      const setback = stood === undefined ? undefined : await setbackOf(directory, stood);
      return setback?.thinned === true ? "thinned" : setback !== undefined;
    },
    open(folder, stop, stood) {
      const mine = turn.then(() => openNow(folder, stop, stood));
      turn = mine.catch(() => undefined);
      return mine;
    },
    async seal() {
      await Promise.all([gathered.delivery.idle(), gathered.retouches.idle()]);
      if (begun === undefined) return;
      await addSubscriptions(root, subscribed);
      for (const path of [join(home, "traits"), home, root])
        await syncDirectory(path).catch((error: unknown) => {
          throw ioError(`cannot make ${path} durable`, error);
        });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([turn, gathered.delivery.idle(), gathered.retouches.idle()]);
    },
  } satisfies Sink;
}

interface Opened {
  readonly id: string;
  readonly setback: Setback | undefined;
  readonly mail: WeakRef<MailFolder>;
}

function setBack(setback: Setback | undefined): { readonly setback?: Setback } {
  return setback === undefined ? {} : { setback };
}

/** The archive's own id, if it is one. */
async function demandMaildir(root: string): Promise<string | undefined> {
  const info = await stat(root).catch((error: unknown) => {
    if (errno(error) === "ENOENT") return undefined;
    if (errno(error) === "ENOTDIR") throw configError(`${root} lies below something that is no folder`);
    throw ioError(`cannot open ${root}`, error);
  });
  if (info === undefined) return undefined;
  if (!info.isDirectory())
    throw configError(`${root} is a file, not a Maildir`, "Choose another target, or move the file out of the way.");
  const entries = (await entriesOf(toBytes(root))) ?? [];
  const id = await readArchiveId(root, "maildir");
  // An archive whose making was cut short has its id, and perhaps only some of cur, new and tmp.
  if (id !== undefined || entries.every(({ name }) => IGNORED.has(name)) || (await isMaildir(toBytes(root)))) return id;
  throw configError(
    `${root} is not empty and is no Maildir (it has no cur or new)`,
    "Choose an empty or a new folder, or the root of a Maildir.",
  );
}

function inodeOf(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
}

/** File names are given once, and each move of a file shows: where nothing moved there is nothing to look at. */
async function setbackOf(directory: BytePath, { at, newest, recorded }: Stood): Promise<Setback | undefined> {
  const last = newest.at(-1)?.receipt.ref;
  if (last === undefined || at === changeTimesNow(directory)) return undefined;
  let isThere = false;
  let files = 0;
  for await (const file of messageFiles(directory)) {
    files++;
    isThere ||= file.startsWith(last, 4) && parseFileName(file.slice(4)).base === last;
  }
  if (!isThere) return { why: "its newest copy is not there any more" };
  return files < recorded ? { thinned: true } : undefined;
}

function unselectable(plan: FolderPlan): SinkFolder {
  const refuse = (): MailError =>
    new MailError("not-found", `${plan.name} holds folders, no messages`, { scope: "folder", remedy: "give-up" });
  return {
    name: plan.name,
    path: plan.path,
    fidelity: plan.fidelity,
    generation: "none",
    created: false,
    position: async () => undefined,
    async *copies() {},
    append: () => Promise.reject(refuse()),
    // biome-ignore lint/correctness/useYield: it fails before the first octet
    async *reopen() {
      throw refuse();
    },
  };
}

function folderSink(
  { name, path, fidelity }: FolderPlan,
  { id, created, setback }: { readonly id: string; readonly created: boolean; readonly setback?: Setback },
  mail: MailFolder,
  /** Where what is no mail any more goes. */
  spoilt: string,
  gathered: { readonly delivery: Delivery; readonly retouches: GroupCommit<Retouch, void> },
): SinkFolder {
  const gone = (ref: string): MailError =>
    new MailError("not-found", `${name} does not hold ${ref} any more`, { scope: "message", remedy: "give-up" });
  return {
    name,
    path,
    fidelity,
    generation: id,
    created,
    ...(setback === undefined ? {} : { setback }),
    stand: () => changeTimesNow(mail.directory),
    position: async () => undefined,
    async *copies(_since, signal) {
      await mail.keywords.load();
      for await (const info of mail.infos(messageFiles(mail.directory))) {
        signal.throwIfAborted();
        if (info === undefined) continue;
        // What Dovecot compressed has the size of the message in its name.
        const size = announcedSize(info.base) ?? info.size;
        yield { receipt: { ref: info.base }, traits: await mail.traits(info), size };
      }
    },
    append: async (message, signal) => ({ receipt: { ref: await gathered.delivery.deliver(mail, message, signal) } }),
    async appendAll(messages, signal) {
      const fates = await gathered.delivery.deliverAll(mail, messages, signal);
      return fates.map((fate) => ("error" in fate ? fate : { value: { receipt: { ref: fate.value } } }));
    },
    async *reopen({ ref }, signal) {
      const begun = await mail.locator.with(ref, async (file) => {
        const rest = messageContent(`${mail.directory}/${file}`, ref);
        return { rest, first: await rest.next() };
      });
      if (begun === undefined) throw gone(ref);
      try {
        if (begun.first.done !== true) yield begun.first.value;
        for await (const chunk of begun.rest) {
          signal.throwIfAborted();
          yield chunk;
        }
      } finally {
        await begun.rest.return(undefined);
      }
    },
    setAside: (receipt, key, signal) =>
      mail.locator.with(receipt.ref, async (file) => {
        if (await isWhole(mail, file, receipt.ref, key, signal)) return undefined;
        return await moveOut(mail.directory, file, spoilt);
      }),
    async sweep() {
      const moved: string[] = [];
      for (const file of await noFiles(mail.directory)) moved.push(await moveOut(mail.directory, file, spoilt));
      return moved;
    },
    traits: ({ ref }) =>
      mail.locator.with(ref, async (file) => {
        const info = await mail.info(file);
        return info === undefined ? undefined : await mail.traits(info);
      }),
    update: (receipt, change, signal) => {
      signal.throwIfAborted();
      return gathered.retouches.add({ folder: mail, base: receipt.ref, change });
    },
  };
}
