// IMAP as a sink: folders made and named, messages appended without waiting for each other, copies found and read back.

import { GroupCommit } from "../core/group.ts";
import type { Hold } from "../core/lock.ts";
import { MailError } from "../mail/errors.ts";
import { type Fidelity, FULL_FIDELITY } from "../mail/fidelity.ts";
import { messageIdOf } from "../mail/headers.ts";
import { type Folder, type FolderPath, SYSTEM_FLAGS, type TraitChange, type Traits } from "../mail/model.ts";
import { showRaw } from "../mail/mutf7.ts";
import { Appender } from "../protocol/imap/append.ts";
import { fetchContent } from "../protocol/imap/bodies.ts";
import type { Connection, Selected } from "../protocol/imap/connection.ts";
import { folderRefusal } from "../protocol/imap/errors.ts";
import { type FetchRow, fetchAll, fetchRows, ROW_ITEMS } from "../protocol/imap/fetch.ts";
import { Grouping } from "../protocol/imap/grouping.ts";
import { mailboxCommand, mailboxStatus, selectMailbox } from "../protocol/imap/mailbox.ts";
import { makeMark } from "../protocol/imap/mark.ts";
import { ConnectionPool, FIRST_CONNECTIONS } from "../protocol/imap/pool.ts";
import { connectImap, type Timing } from "../protocol/imap/session.ts";
import { SharedSession } from "../protocol/imap/shared-session.ts";
import { readStanding, rowsOf, type Standing, showStanding, takenSince } from "../protocol/imap/standing.ts";
import { storeChanges } from "../protocol/imap/store.ts";
import { flagName } from "../protocol/imap/syntax.ts";
import { loadTree, type MailboxTree } from "../protocol/imap/tree.ts";
import { type ServerOptions, serverIdentity } from "../protocol/server.ts";
import { isThinned, knownCopies, setbackOf } from "./imap/standing.ts";
import type { Copy, FolderPlan, Receipt, Setback, Sink, SinkFolder, Stood } from "./sink.ts";

const DEFAULT_FOLDERS = 3;
/** Appends in flight; the engine bounds their octets, and the appender those on the wire. */
const WRITES = 1024;
/** Names that no server has a reason to refuse; Dovecot repeats those with control characters in words that break its answer. */
function isPlain(name: string, path: FolderPath): boolean {
  return (
    /^[\w &+,()[\]'!#$=@./-]+$/.test(name) &&
    !/\.\.|\/\//.test(name) &&
    !path.some((part) => /[\p{C}\p{Zl}\p{Zp}]/u.test(part))
  );
}

/** Connects, logs in and lists at once. Throws MailError auth, connection or config. `timing` is for tests. */
export async function openImapSink(server: ServerOptions, signal: AbortSignal, timing: Timing = {}): Promise<Sink> {
  const folders = server.connections ?? DEFAULT_FOLDERS;
  let opened = 0;
  const pool = new ConnectionPool(
    (abort, another) => connectImap(server, { name: `target-${++opened}`, another, ...timing }, abort),
    folders,
    // The engine decides by the same rule, before a folder is opened: it must not wait twice.
    { first: folders, place: `${server.host}:${server.port}` },
  );
  let tree: MailboxTree;
  /** What the inbox keeps: a round trip a folder would be minutes for thousands of them. `open` knows for sure. */
  let usual: Fidelity;
  let hold: Hold = () => undefined;
  const guarded: Hold = (now) => hold(now);
  const grouping = new Grouping();
  const subscribe = new Set<string>();
  {
    using lease = await pool.lease(undefined, signal);
    const { connection } = lease;
    [tree, usual] = await connection.abortable(signal, () =>
      Promise.all([loadTree(connection), inboxFidelity(connection)]),
    );
  }

  async function describe(folder: Folder): Promise<FolderPlan> {
    const { name, path } = tree.resolve(folder.path);
    return { name, path, fidelity: usual };
  }

  async function open(folder: Folder, abort: AbortSignal, stood?: Stood): Promise<SinkFolder> {
    using lease = await pool.lease(tree.resolve(folder.path).name, abort);
    const { connection } = lease;
    return await connection.abortable(abort, async () => {
      // CREATE, SELECT and STATUS in one round trip; a name that may be refused by itself.
      const ensuring = tree.ensure(connection, folder);
      const wanted = tree.resolve(folder.path).name;
      const planned = isPlain(wanted, folder.path) ? wanted : (await ensuring).name;
      const known = knownCopies(stood);
      const uids = known.map(({ uid }) => uid);
      const [ensured, opened, asked, heard] = await Promise.allSettled([
        ensuring,
        selectMailbox(connection, planned, false),
        appendLimit(connection, planned),
        rowsOf(connection, uids),
      ]);
      if (ensured.status === "rejected") throw ensured.reason;
      const { name, path, created } = ensured.value;
      // Not at the first try, or under another name: what was asked behind it says nothing.
      const again = name !== planned || (created && opened.status === "rejected");
      if (!again && opened.status === "rejected") throw opened.reason;
      const selected =
        again || opened.status === "rejected" ? await selectMailbox(connection, name, false) : opened.value;
      if (!again && asked.status === "rejected") throw asked.reason;
      const limit = again || asked.status === "rejected" ? await appendLimit(connection, name) : asked.value;
      if (!again && heard.status === "rejected") throw heard.reason;
      const rows = again || heard.status === "rejected" ? await rowsOf(connection, uids) : heard.value;
      if (folder.subscribed === true && !tree.isSubscribed(name)) subscribe.add(name);
      const fidelity = fidelityOf(selected, limit);
      // A server may answer OK to CREATE where there is such a folder already, in another spelling.
      return sinkFolder(
        { pool, grouping, hold: guarded, namesCopies: connection.has("UIDPLUS"), merges: connection.has("X-GM-EXT-1") },
        { name, path, fidelity },
        selected,
        created && selected.exists === 0,
        readStanding(stood?.at),
        stood === undefined ? undefined : setbackOf(stood, selected, known, rows, true),
      );
    });
  }

  async function seal(abort: AbortSignal): Promise<void> {
    if (subscribe.size === 0) return;
    using lease = await pool.lease(undefined, abort);
    const { connection } = lease;
    await connection.abortable(abort, async () => {
      const names = [...subscribe];
      const answers = await Promise.all(names.map((name) => mailboxCommand(connection, "SUBSCRIBE", name)));
      for (const [i, answer] of answers.entries()) {
        const name = names[i] ?? "";
        if (answer.status !== "OK") throw folderRefusal(`the folder ${showRaw(name)} cannot be subscribed`, answer);
        subscribe.delete(name);
      }
    });
  }

  return {
    kind: "imap",
    storesLate: true,
    guard: (given) => {
      hold = given;
    },
    identity: serverIdentity("imap", server),
    limits: { writes: WRITES, folders, foldersAtFirst: FIRST_CONNECTIONS },
    describe,
    recall: (names) => tree.recall(names),
    async respelled(abort) {
      using lease = await pool.lease(undefined, abort);
      const { connection } = lease;
      return await connection.abortable(abort, () => tree.respelled(connection));
    },
    find: async ({ path }) => ({ ...tree.find(path), fidelity: usual }),
    async isGone({ path }, generation, abort, stood, closely) {
      const { name } = tree.resolve(path);
      if (tree.isGone(name, generation)) return true;
      const was = readStanding(stood?.at);
      const now = tree.statusOf(name);
      if (stood === undefined || was === undefined || now?.uidNext === undefined || now.messages === undefined)
        return false;
      const counted = { uidNext: now.uidNext, exists: now.messages };
      const isMoved = now.uidNext !== was.uidNext || now.messages !== was.exists;
      if (!isMoved && closely !== true) return false;
      if (now.uidNext < was.uidNext || isThinned(stood, counted)) return true;
      using lease = await pool.lease(name, abort);
      const { connection } = lease;
      return await connection.abortable(abort, async () => {
        const known = knownCopies(stood);
        const opening = selectMailbox(connection, name, true);
        const uids = known.map(({ uid }) => uid);
        const [opened, rows] = await Promise.allSettled([opening, rowsOf(connection, uids)]);
        // Whatever is the matter, opening it will tell.
        if (opened.status === "rejected" || rows.status === "rejected") return true;
        // No flags are changed by receipt where it is not opened for writing.
        return setbackOf(stood, opened.value, known, rows.value, false) !== undefined;
      });
    },
    open,
    mark: (abort) =>
      makeMark(tree, async (work) => {
        using lease = await pool.lease(undefined, abort);
        const { connection } = lease;
        return await connection.abortable(abort, () => work(connection));
      }),
    afresh: () => pool.renew(),
    seal,
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  } satisfies Sink;
}

interface Account {
  readonly pool: ConnectionPool;
  readonly grouping: Grouping;
  readonly hold: Hold;
  /** It tells the UIDs of what was appended. */
  readonly namesCopies: boolean;
  readonly merges: boolean;
}

function sinkFolder(
  { pool, grouping, hold, namesCopies, merges }: Account,
  plan: FolderPlan,
  { uidValidity, uidNext, exists }: Selected,
  created: boolean,
  was: Standing | undefined,
  setback: Setback | undefined,
): SinkFolder {
  const { name } = plan;
  const session = new SharedSession(pool, name, uidValidity);
  // Where nothing can be looked at behind the appends, no folder need be open; and mailutils overwrites what is in one that is.
  const appending = namesCopies ? session : new SharedSession(pool, name, uidValidity, false);
  const appender = new Appender(name, uidValidity, appending, plan.fidelity.maxBytes, grouping, hold);
  /** Messages that were stored through this object. */
  let stored = 0;
  const uidOf = ({ ref }: Receipt): number => {
    const match = /^(\d+):(\d{1,10})$/.exec(ref);
    if (match?.[1] === uidValidity) return Number(match[2]);
    throw new MailError("not-found", `${ref} is of another generation of the folder ${showRaw(name)}`, {
      scope: "message",
      remedy: "give-up",
    });
  };
  interface Update {
    readonly uid: number;
    readonly change: TraitChange;
    readonly signal: AbortSignal;
  }
  const updates = new GroupCommit<Update, void>(async (items) => {
    const [first] = items;
    if (first === undefined) return [];
    using seat = await session.enter(first.signal);
    hold();
    return await storeChanges(seat.connection, items);
  });

  async function* copies(since: string | undefined, signal: AbortSignal): AsyncGenerator<Copy> {
    const after = since === undefined ? 0 : Number(since);
    using lease = await pool.lease(name, signal);
    const { connection } = lease;
    const release = connection.endOn(signal);
    try {
      const selected = await selectMailbox(connection, name, false);
      if (selected.uidValidity !== uidValidity)
        throw new MailError("not-found", `the folder ${showRaw(name)} was made anew`, {
          scope: "folder",
          remedy: "retry",
        });
      if (selected.exists === 0 || (selected.uidNext !== undefined && selected.uidNext <= after + 1)) return;
      const command = `UID FETCH ${after + 1}:* (${ROW_ITEMS} BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])`;
      const rows = fetchRows(connection, command);
      let next = await rows.next();
      for (; next.done !== true; next = await rows.next())
        for (const row of next.value) {
          const { uid, size, header } = row;
          // "n:*" always names the last message; rows with less in them were not asked for.
          if (uid === undefined || uid <= after || size === undefined || header === undefined) continue;
          const messageId = messageIdOf(header);
          yield {
            receipt: { ref: `${uidValidity}:${uid}` },
            size,
            traits: traitsIn(row),
            ...(messageId === undefined ? {} : { messageId }),
          };
        }
      if (next.value.answer.status !== "OK")
        throw folderRefusal(`the folder ${showRaw(name)} cannot be listed`, next.value.answer);
    } finally {
      release();
    }
  }

  return {
    ...plan,
    generation: uidValidity,
    created,
    ...(setback === undefined ? {} : { setback }),
    stand() {
      const { last } = appender;
      if (uidNext === undefined || last === undefined) return undefined;
      const now = { uidNext: Math.max(uidNext, last + 1), exists: exists + stored };
      // Counted, and fewer than that: from here on it is counted anew.
      const counted = setback?.why !== undefined || setback?.thinned === true;
      const taken = was === undefined || counted ? 0 : takenSince(was, { uidNext, exists });
      return showStanding({ ...now, taken });
    },
    // RFC 9051 2.3.1.1: UIDs begin with 1, and grow with each message.
    pristine: exists === 0 && uidNext === 1,
    merges,
    async position(signal) {
      // A position that lies lower than need be costs a look at a few rows more, the question a round trip a folder.
      const last = appender.last;
      if (uidNext !== undefined && last !== undefined) return String(Math.max(uidNext - 1, last));
      using seat = await session.enter(signal);
      const { uidNext: next } = await mailboxStatus(seat.connection, name, "UIDNEXT");
      return next === undefined ? undefined : String(next - 1);
    },
    copies,
    async append(message, signal) {
      const { uid, altered, alteration, losses } = await appender.append(message, signal);
      stored++;
      return {
        ...(uid === undefined ? {} : { receipt: { ref: `${uidValidity}:${uid}` } }),
        ...(altered === undefined ? {} : { altered }),
        ...(alteration === undefined ? {} : { alteration }),
        ...(losses.length === 0 ? {} : { losses }),
      };
    },
    async *reopen(receipt, signal) {
      const uid = uidOf(receipt);
      using seat = await session.enter(signal);
      yield* fetchContent(seat.connection, uid);
    },
    async traits(receipt, signal) {
      const uid = uidOf(receipt);
      using seat = await session.enter(signal);
      const { rows } = await fetchAll(seat.connection, `UID FETCH ${uid} (${ROW_ITEMS})`);
      const row = rows.find((one) => one.uid === uid);
      return row === undefined ? undefined : traitsIn(row);
    },
    async update(receipt, change, signal) {
      signal.throwIfAborted();
      await updates.add({ uid: uidOf(receipt), change, signal });
    },
  };
}

function traitsIn({ flags, keywords, received }: FetchRow): Traits {
  return {
    flags: flags ?? new Set(),
    keywords: keywords ?? new Set(),
    labels: new Set(),
    ...(received === undefined ? {} : { received }),
  };
}

async function inboxFidelity(connection: Connection): Promise<Fidelity> {
  const [limit, inbox] = await Promise.allSettled([
    appendLimit(connection, "INBOX"),
    selectMailbox(connection, "INBOX", false),
  ]);
  if (limit.status === "fulfilled" && inbox.status === "fulfilled") return fidelityOf(inbox.value, limit.value);
  // An account without an inbox is odd and no reason to stop.
  for (const asked of [limit, inbox])
    if (asked.status === "rejected" && !(asked.reason instanceof MailError && asked.reason.details.scope === "folder"))
      throw asked.reason;
  return { ...FULL_FIDELITY, labels: false };
}

/** RFC 7889: one limit for all folders, or one a folder that STATUS tells. */
async function appendLimit(connection: Connection, name: string): Promise<number | undefined> {
  for (const capability of connection.capabilities) {
    const limit = /^APPENDLIMIT=(\d{1,15})$/.exec(capability)?.[1];
    if (limit !== undefined && limit !== "0") return Number(limit);
  }
  return connection.has("APPENDLIMIT") ? (await mailboxStatus(connection, name, "APPENDLIMIT")).appendLimit : undefined;
}

function fidelityOf({ flags, permanentFlags }: Selected, limit: number | undefined): Fidelity {
  const kept = new Set((permanentFlags ?? flags).map((flag) => flag.toLowerCase()));
  const system = SYSTEM_FLAGS.filter((flag) => kept.has(flagName(flag).toLowerCase()));
  const any = permanentFlags === undefined || kept.has("\\*");
  return {
    flags: new Set(system),
    keywords: any ? "any" : new Set([...kept].filter((flag) => !flag.startsWith("\\"))),
    labels: false,
    received: true,
    ...(limit === undefined ? {} : { maxBytes: limit }),
  };
}
