// IMAP as a source: folders with their state, a listing and then the bodies of what is wanted, removal by UID EXPUNGE.

import type { Hold } from "../core/lock.ts";
import { MailError, suspecting } from "../mail/errors.ts";
import { FULL_FIDELITY } from "../mail/fidelity.ts";
import { isPlausible } from "../mail/headers.ts";
import type { Entry, Folder, Origin, Traits } from "../mail/model.ts";
import { NO_TRAITS, showPath } from "../mail/model.ts";
import { showRaw } from "../mail/mutf7.ts";
import type { Connection } from "../protocol/imap/connection.ts";
import { type FetchRow, fetchRows } from "../protocol/imap/fetch.ts";
import { identifyMessages } from "../protocol/imap/identify.ts";
import {
  isSelectable,
  type Listed,
  listMailboxes,
  personalNamespace,
  selectMailbox,
  specialUse,
} from "../protocol/imap/mailbox.ts";
import { nameFor, pathsOf } from "../protocol/imap/names.ts";
import { ConnectionPool } from "../protocol/imap/pool.ts";
import { FolderReader, type Reading } from "../protocol/imap/read-folder.ts";
import { demandRemoval, removeMessages, worksAsGmail } from "../protocol/imap/remove.ts";
import { SEATS } from "../protocol/imap/seats.ts";
import { connectImap, type Timing } from "../protocol/imap/session.ts";
import { uidSet } from "../protocol/imap/syntax.ts";
import { type ServerOptions, serverIdentity } from "../protocol/server.ts";
import type { Incoming, ReadOptions, Slice, Source } from "./source.ts";

const DEFAULT_SESSIONS = 3;
/** Messages that one STORE and EXPUNGE removes. */
const REMOVE_BATCH = 500;

export interface ImapSourceOptions extends Timing {
  /**
   * It is opened to be read through: the first `folders` gives the list of the moment in which it was opened, so that nobody waits for
   * it while the target is opened, and without `bytes`, for which a server may have to look at every message.
   */
  readonly toRead?: boolean;
}

/** Connects and logs in at once. Throws MailError auth, connection or config. */
export async function openImapSource(
  server: ServerOptions,
  signal: AbortSignal,
  { toRead = false, ...timing }: ImapSourceOptions = {},
): Promise<Source> {
  const sessions = server.connections ?? DEFAULT_SESSIONS;
  let opened = 0;
  const pool = new ConnectionPool(
    (abort, another) => connectImap(server, { name: `source-${++opened}`, another, ...timing }, abort),
    sessions,
    { place: `${server.host}:${server.port}` },
  );
  (await pool.lease(undefined, signal))[Symbol.dispose]();
  let naming: { prefix: string; delimiter: string | null } = { prefix: "", delimiter: "/" };
  const reader = new FolderReader(pool);

  const rawName = (folder: Folder): string => folder.name ?? nameFor(folder.path, naming, 0).name;

  async function list(abort: AbortSignal): Promise<Folder[]> {
    using lease = await pool.lease(undefined, abort);
    const { connection } = lease;
    return await connection.abortable(abort, async () => {
      const [namespace, listed] = await Promise.all([
        personalNamespace(connection),
        listMailboxes(connection, toRead ? "counts" : "sizes"),
      ]);
      naming = namespace;
      const paths = pathsOf(listed, namespace.prefix);
      const withState = connection.has("CONDSTORE") || connection.has("QRESYNC");
      return listed.map((one) => folderOf(one, paths.get(one.name) ?? [one.name], withState));
    });
  }

  /** Of the folders that were read. */
  const rawNames = new Map<string, string>();

  const opening = new AbortController();
  let early = toRead ? list(AbortSignal.any([signal, opening.signal])) : undefined;
  early?.catch(() => undefined);
  async function earlyList(abort: AbortSignal): Promise<Folder[] | undefined> {
    const onAbort = (): void => opening.abort(abort.reason);
    if (abort.aborted) onAbort();
    else abort.addEventListener("abort", onAbort, { once: true });
    try {
      return await early;
    } finally {
      abort.removeEventListener("abort", onAbort);
    }
  }
  async function firstList(abort: AbortSignal): Promise<Folder[]> {
    const first = earlyList(abort);
    early = undefined;
    return (await first) ?? (await list(abort));
  }

  async function* read(
    slice: Slice,
    { want, listed, unlisted, everything = false, alone = false, signal: abort }: ReadOptions,
  ): AsyncGenerator<Incoming> {
    const { folder } = slice;
    if (!folder.selectable || abort.aborted) return;
    rawNames.set(showPath(folder.path), rawName(folder));
    const entryOf = (uid: number, uidValidity: string, row: FetchRow | undefined): Entry => {
      const origin = { folder: folder.path, generation: uidValidity, id: String(uid) };
      const traits = traitsOf(row);
      return row?.size === undefined ? { origin, traits } : { origin, traits, size: row.size };
    };
    const suspects: Origin[] = [];
    const reading: Reading = {
      want: (row, uidValidity) => want(entryOf(row.uid, uidValidity, row)),
      listed: () => listed?.(),
      unlisted: (messages) => unlisted?.(messages),
      everything,
      alone,
      broken(uids, generation) {
        for (const uid of uids) suspects.push({ folder: folder.path, generation, id: String(uid) });
      },
      signal: abort,
    };
    try {
      const place = { messages: folder.messages, range: slice.range };
      for await (const { uidValidity, fetched } of reader.read(rawName(folder), place, reading))
        for (const one of fetched) {
          const entry = entryOf(one.uid, uidValidity, one.row);
          if ("error" in one) yield { entry, content: failing(one.error) };
          else if (one.bytes === undefined) yield { entry, content: one.content };
          else yield { entry, content: one.content, bytes: one.bytes };
          if (abort.aborted) return;
        }
    } catch (error) {
      // On abort it ends quietly.
      if (abort.aborted) return;
      throw error instanceof MailError && suspects.length > 0 ? suspecting(error, suspects) : error;
    }
  }

  async function* remove(origins: AsyncIterable<Origin>, abort: AbortSignal, hold?: Hold): AsyncGenerator<Origin> {
    let batch: Origin[] = [];
    for await (const origin of origins) {
      batch.push(origin);
      if (batch.length < REMOVE_BATCH) continue;
      yield* await removeBatch(batch, abort, hold);
      batch = [];
    }
    if (batch.length > 0) yield* await removeBatch(batch, abort, hold);
  }

  /** Gmail-like servers: the folder that deleting moves to; undefined elsewhere. Throws where nothing can be deleted safely. */
  async function trashOf(abort: AbortSignal): Promise<string | undefined> {
    let connection: Connection;
    {
      // Rather than over a connection of its own.
      await earlyList(abort).catch(() => undefined);
      using lease = await pool.lease(undefined, abort);
      connection = lease.connection;
    }
    const folders = worksAsGmail(connection) ? await list(abort) : [];
    return demandRemoval(connection, server.host, folders.find(({ use }) => use === "trash")?.name);
  }

  async function nameOf(path: Folder["path"], abort: AbortSignal): Promise<string> {
    const folders = await list(abort);
    const wanted = showPath(path);
    const folder = folders.find((one) => showPath(one.path) === wanted);
    if (folder?.name !== undefined) return folder.name;
    throw new MailError("not-found", `the folder ${wanted} is no longer there`, { scope: "folder", remedy: "give-up" });
  }

  const names = new Map<string, string>();
  let trash: string | undefined;
  async function removeBatch(batch: readonly Origin[], abort: AbortSignal, hold?: Hold): Promise<Origin[]> {
    const [first] = batch;
    if (first === undefined) return [];
    const shown = showPath(first.folder);
    let name = names.get(shown);
    if (name === undefined) {
      trash = await trashOf(abort);
      name = await nameOf(first.folder, abort);
      names.set(shown, name);
    }
    const known = name;
    using lease = await pool.lease(known, abort);
    const { connection } = lease;
    return await connection.abortable(abort, () => removeMessages(connection, known, batch, trash, hold));
  }

  return {
    kind: "imap",
    identity: serverIdentity("imap", server),
    limits: { sessions: sessions * SEATS },
    tells: { ...FULL_FIDELITY, labels: false },
    readsAhead: true,
    async *folders(abort) {
      yield* await firstList(abort);
    },
    async *slices(folder) {
      if (folder.selectable) yield { folder };
    },
    read,
    async *identify(folder, abort, unlisted) {
      if (!folder.selectable) return;
      const name = rawName(folder);
      using lease = await pool.lease(name, abort);
      const { connection } = lease;
      const release = connection.endOn(abort);
      try {
        const { uidValidity, exists } = await selectMailbox(connection, name, true);
        for await (const { row, messageId } of identifyMessages(connection, exists, unlisted)) {
          const origin = { folder: folder.path, generation: uidValidity, id: String(row.uid) };
          const size = row.size === undefined ? {} : { size: row.size };
          yield { entry: { origin, traits: traitsOf(row), ...size }, messageId };
        }
      } finally {
        release();
      }
    },
    async *describe(origins, abort) {
      const [first] = origins;
      if (first === undefined) return;
      const name = rawNames.get(showPath(first.folder));
      if (name === undefined) return;
      using lease = await pool.lease(name, abort);
      const { connection } = lease;
      const release = connection.endOn(abort);
      try {
        const { uidValidity } = await selectMailbox(connection, name, true);
        const uids = origins.filter(({ generation }) => generation === uidValidity).map(({ id }) => Number(id));
        if (uids.length === 0) return;
        const { set } = uidSet(uids, 0, uids.length);
        const rows = fetchRows(connection, `UID FETCH ${set} (UID BODY.PEEK[HEADER.FIELDS (SUBJECT FROM DATE)])`);
        for await (const some of rows)
          for (const { uid, header } of some) {
            const origin = origins.find(({ id }) => id === String(uid));
            if (origin !== undefined && header !== undefined) yield { origin, head: header };
          }
      } finally {
        release();
      }
    },
    // RFC 3501 2.3.4.
    wireSize: ({ size }) => size,
    remove,
    stateAfter,
    afresh: () => pool.renew(),
    async checkRemove(abort) {
      const name = await trashOf(abort);
      return name === undefined
        ? undefined
        : `${server.host} works as Gmail does: what is deleted goes to ${showRaw(name)}, and leaves all other labels`;
    },
    async [Symbol.asyncDispose]() {
      opening.abort();
      await pool[Symbol.asyncDispose]();
    },
  } satisfies Source;
}

/**
 * RFC 7162 3.1.2.2: 0 where this folder has no mod-sequences. Then nothing in the token moves with a flag. Servers that keep none
 * and say so otherwise say 1, below which none is.
 */
function hasModseq(highest: string | undefined, messages: number): boolean {
  const digits = /^0*([1-9]\d*)$/.exec(highest ?? "")?.[1];
  return digits !== undefined && (digits !== "1" || messages === 0);
}

/** A token that no folder has: its mod-sequence stood still while mail came, so that a flag may not move it either. */
const STUCK = "stuck:";

function stateAfter(before: string, now: string): string {
  const [validity, uidNext, messages, modseq] = before.replace(STUCK, "").split(":");
  const [nowValidity, nowNext, nowMessages, nowModseq] = now.split(":");
  const isOne = validity === nowValidity && modseq === nowModseq;
  const cameMore = Number(nowNext) > Number(uidNext) && Number(nowMessages) > Number(messages);
  return isOne && (cameMore || before.startsWith(STUCK)) ? `${STUCK}${now}` : now;
}

function folderOf(listed: Listed, path: Folder["path"], withState: boolean): Folder {
  const { status = {} } = listed;
  const use = specialUse(listed);
  const { uidValidity, uidNext, messages, highestModseq } = status;
  const state =
    withState &&
    uidValidity !== undefined &&
    uidNext !== undefined &&
    messages !== undefined &&
    hasModseq(highestModseq, messages)
      ? `${uidValidity}:${uidNext}:${messages}:${highestModseq}`
      : undefined;
  return {
    path,
    selectable: isSelectable(listed),
    subscribed: listed.subscribed,
    name: listed.name,
    ...(use === undefined ? {} : { use }),
    ...(messages === undefined ? {} : { messages }),
    ...(status.bytes === undefined ? {} : { bytes: status.bytes }),
    ...(state === undefined ? {} : { state }),
  };
}

function traitsOf(row: FetchRow | undefined): Traits {
  const { flags = NO_TRAITS.flags, keywords = NO_TRAITS.keywords, received, undated, foreign } = row ?? {};
  const { labels } = NO_TRAITS;
  if (foreign === undefined && received !== undefined && isPlausible(received))
    return { flags, keywords, labels, received };
  const traits: Traits = { flags, keywords, labels, ...(foreign === undefined ? {} : { foreign }) };
  if (received === undefined) return undated === "no date" ? { ...traits, misdated: true } : traits;
  return isPlausible(received) ? { ...traits, received } : { ...traits, misdated: true };
}

async function* failing(error: MailError): AsyncGenerator<Uint8Array> {
  yield* [];
  throw error;
}
