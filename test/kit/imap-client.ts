// A small client of its own for tests: fills an account and says what an account holds.

import { createHash } from "node:crypto";
import type { FolderPath, Received, SystemFlag } from "../../src/mail/model.ts";
import { showPath } from "../../src/mail/model.ts";
import type { ServerOptions } from "../../src/protocol/server.ts";
import { openWire, type Token, type Wire } from "./imap-wire.ts";

/** What is put into an account. */
export interface Seed {
  readonly folder: FolderPath;
  readonly bytes: Uint8Array;
  readonly flags?: readonly SystemFlag[];
  readonly keywords?: readonly string[];
  readonly received?: Received;
}

/** A message as an account holds it. */
export interface Held {
  readonly uid: number;
  /** In lower case, without backslash, sorted; without \Recent. */
  readonly flags: readonly SystemFlag[];
  /** As the server spells them, sorted. */
  readonly keywords: readonly string[];
  /** As the server wrote it. */
  readonly internalDate: string;
  readonly epochSeconds: number;
  /** Octets as the server sent them. */
  readonly size: number;
  /** The content key, computed here and not by mailferry's code. */
  readonly key: string;
  /** SHA-256 of the bytes as the server sent them. */
  readonly sha256: string;
  readonly messageId?: string;
  readonly bytes: Buffer;
}

export interface Listed {
  readonly path: FolderPath;
  /** The name as the server spells it. */
  readonly raw: string;
  readonly attributes: readonly string[];
  readonly selectable: boolean;
  readonly subscribed: boolean;
}

export interface ImapClient extends AsyncDisposable {
  readonly wire: Wire;
  /** Creates the folder; harmless when it is there. */
  create(path: FolderPath): Promise<void>;
  subscribe(path: FolderPath): Promise<void>;
  /** Appends one message, creating its folder if need be. Resolves with the UID. */
  append(seed: Seed): Promise<number>;
  /** Appends all, one MULTIAPPEND a run of messages of the same folder. Resolves with how many. */
  fill(seeds: Iterable<Seed>): Promise<number>;
  folders(): Promise<readonly Listed[]>;
  /** Everything in the folder, by UID. */
  read(path: FolderPath): Promise<readonly Held[]>;
  /** Everything in the account, by showPath; folders that cannot be selected are left out. */
  readAll(): Promise<ReadonlyMap<string, readonly Held[]>>;
  count(path: FolderPath): Promise<number>;
  /** Adds or removes flags and keywords as the server spells them (`\\Seen`, `$Label1`). */
  store(path: FolderPath, uid: number, action: "+" | "-", flags: readonly string[]): Promise<void>;
  /** Deletes just these messages. */
  expunge(path: FolderPath, uids: readonly number[]): Promise<void>;
  rename(from: FolderPath, to: FolderPath): Promise<void>;
  delete(path: FolderPath): Promise<void>;
  logout(): Promise<void>;
}

/** One MULTIAPPEND holds at most so much. */
const BATCH_MESSAGES = 100;
const BATCH_BYTES = 4 << 20;

export async function connectImap(server: ServerOptions): Promise<ImapClient> {
  const wire = await openWire(server);
  const separator = text((await wire.command('LIST "" ""'))[0]?.[2]) || "/";
  const known = new Set<string>();

  const name = (path: FolderPath): Buffer => Buffer.from(encodeName(path, separator), "ascii");
  const create = async (path: FolderPath): Promise<void> => {
    if (known.has(showPath(path)) || (path.length === 1 && path[0] === "INBOX")) return;
    await wire.command("CREATE ", name(path)).catch((error: unknown) => {
      if (!String(error).includes("ALREADYEXISTS")) throw error;
    });
    known.add(showPath(path));
  };
  const appendAll = async (seeds: readonly Seed[]): Promise<void> => {
    const [first] = seeds;
    if (first === undefined) return;
    await create(first.folder);
    await wire.command(
      "APPEND ",
      name(first.folder),
      ...seeds.flatMap((seed) => [` ${traits(seed)}`, Buffer.from(seed.bytes)]),
    );
  };
  const select = (path: FolderPath): Promise<readonly Token[][]> => wire.command("SELECT ", name(path));
  const folders = async (): Promise<readonly Listed[]> => {
    const subscribed = new Set((await wire.command('LSUB "" "*"')).map((row) => text(row[3])));
    return (await wire.command('LIST "" "*"'))
      .filter((row) => row[0] === "LIST")
      .map((row) => {
        const raw = text(row[3]);
        const attributes = strings(row[1]);
        const unselectable = attributes.some((attribute) => /^\\(noselect|nonexistent)$/i.test(attribute));
        return {
          path: decodeName(raw, separator),
          raw,
          attributes,
          selectable: !unselectable,
          subscribed: subscribed.has(raw),
        };
      });
  };
  const read = async (path: FolderPath): Promise<readonly Held[]> => {
    await wire.command("EXAMINE ", name(path));
    const rows = await wire.command("UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])");
    return rows
      .filter((row) => row[1] === "FETCH" && Array.isArray(row[2]))
      .map((row) => held(row[2] as readonly Token[]))
      .filter((message) => message.uid > 0)
      .sort((a, b) => a.uid - b.uid);
  };
  const logout = async (): Promise<void> => {
    await wire.command("LOGOUT").catch(() => undefined);
    wire.end();
  };
  return {
    wire,
    create,
    subscribe: async (path) => void (await wire.command("SUBSCRIBE ", name(path))),
    async append(seed) {
      await appendAll([seed]);
      return Number(/\[APPENDUID \d+ (\d+)\]/i.exec(wire.status)?.[1] ?? 0);
    },
    async fill(seeds) {
      let batch: Seed[] = [];
      let bytes = 0;
      let total = 0;
      for (const seed of seeds) {
        const [first] = batch;
        const other = first !== undefined && showPath(first.folder) !== showPath(seed.folder);
        if (other || batch.length >= BATCH_MESSAGES || bytes > BATCH_BYTES) {
          await appendAll(batch);
          batch = [];
          bytes = 0;
        }
        batch.push(seed);
        bytes += seed.bytes.length;
        total++;
      }
      await appendAll(batch);
      return total;
    },
    folders,
    read,
    async readAll() {
      const all = new Map<string, readonly Held[]>();
      for (const folder of await folders())
        if (folder.selectable) all.set(showPath(folder.path), await read(folder.path));
      return all;
    },
    async count(path) {
      const rows = await wire.command("STATUS ", name(path), " (MESSAGES)");
      return Number(strings(rows.find((row) => row[0] === "STATUS")?.[2])[1] ?? -1);
    },
    async store(path, uid, action, flags) {
      await select(path);
      await wire.command(`UID STORE ${uid} ${action}FLAGS.SILENT (${flags.join(" ")})`);
    },
    async expunge(path, uids) {
      await select(path);
      await wire.command(`UID STORE ${uids.join(",")} +FLAGS.SILENT (\\Deleted)`);
      await wire.command(`UID EXPUNGE ${uids.join(",")}`);
    },
    async rename(from, to) {
      await wire.command("RENAME ", name(from), " ", name(to));
      known.clear();
    },
    async delete(path) {
      await wire.command("DELETE ", name(path));
      known.clear();
    },
    logout,
    [Symbol.asyncDispose]: logout,
  };
}

/** The content key, by the definition and nothing else. */
export function keyOf(bytes: Uint8Array): string {
  const folded = Buffer.from(bytes).toString("latin1").replace(/\r+\n/g, "\n");
  const ended = folded.endsWith("\n") ? folded : folded.endsWith("\r") ? folded.replace(/\r+$/, "\n") : `${folded}\n`;
  return createHash("sha256").update(ended, "latin1").digest("hex");
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `"01-Feb-2003 04:05:06 +0100"`, without the quotes. */
export function internalDate(received: Received): string {
  const zone = received.zoneMinutes ?? 0;
  const local = new Date((received.epochSeconds + zone * 60) * 1000);
  const two = (number: number): string => String(Math.floor(number)).padStart(2, "0");
  const clock = [local.getUTCHours(), local.getUTCMinutes(), local.getUTCSeconds()].map(two).join(":");
  const offset = `${zone < 0 ? "-" : "+"}${two(Math.abs(zone) / 60)}${two(Math.abs(zone) % 60)}`;
  return `${two(local.getUTCDate())}-${MONTHS[local.getUTCMonth()]}-${local.getUTCFullYear()} ${clock} ${offset}`;
}

function epochOf(date: string): number {
  const [, day, month = "", year, clock, zone] = /^ ?(\d+)-(\w+)-(\d+) ([\d:]+) ([+-]\d{4})$/.exec(date) ?? [];
  return (
    Date.parse(
      `${year}-${String(MONTHS.indexOf(month) + 1).padStart(2, "0")}-${day?.padStart(2, "0")}T${clock}${zone?.replace(/(..)$/, ":$1")}`,
    ) / 1000
  );
}

/** Modified UTF-7 (RFC 3501 5.1.3), names joined by the server's separator; `~` and the rest of ASCII stay as they are. */
export function encodeName(path: FolderPath, separator: string): string {
  const odd = path.find((part) => part.includes(separator));
  if (odd !== undefined) throw new Error(`"${odd}" holds the server's separator ${separator}`);
  return path.map(encodePart).join(separator);
}

function encodePart(part: string): string {
  return part.replaceAll("&", "&-").replace(/[^\x20-\x7e]+/g, (run) => {
    const units = Buffer.from(run, "utf16le").swap16();
    return `&${units.toString("base64").replaceAll("/", ",").replace(/=+$/, "")}-`;
  });
}

function decodeName(raw: string, separator: string): FolderPath {
  const path = raw
    .split(separator)
    .map((part) =>
      part.replace(/&([^-]*)-/g, (_, run: string) =>
        run === "" ? "&" : Buffer.from(run.replaceAll(",", "/"), "base64").swap16().toString("utf16le"),
      ),
    );
  return path.length === 1 && raw.toUpperCase() === "INBOX" ? ["INBOX"] : path;
}

function traits(seed: Seed): string {
  const flags = [...(seed.flags ?? []).map((flag) => `\\${flag}`), ...(seed.keywords ?? [])];
  return `(${flags.join(" ")}) ${seed.received === undefined ? "" : `"${internalDate(seed.received)}" `}`;
}

function held(items: readonly Token[]): Held {
  const get = (key: string): Token | undefined => items[items.indexOf(key) + 1];
  const flags = strings(get("FLAGS")).filter((flag) => flag.toLowerCase() !== "\\recent");
  const body = get("BODY[]") ?? "";
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(text(body), "latin1");
  const date = text(get("INTERNALDATE"));
  const messageId = /^message-id:\s*(<[^>]*>)/im.exec(bytes.toString("latin1", 0, 65_536))?.[1];
  return {
    uid: items.includes("UID") && items.includes("BODY[]") ? Number(get("UID")) : 0,
    flags: flags
      .filter((flag) => flag.startsWith("\\"))
      .map((flag) => flag.slice(1).toLowerCase() as SystemFlag)
      .sort(),
    keywords: flags.filter((flag) => !flag.startsWith("\\")).sort(),
    internalDate: date,
    epochSeconds: epochOf(date),
    size: bytes.length,
    key: keyOf(bytes),
    sha256: createHash("sha256").update(bytes).digest("hex"),
    ...(messageId === undefined ? {} : { messageId }),
    bytes,
  };
}

function text(token: Token | undefined): string {
  if (Buffer.isBuffer(token)) return token.toString("latin1");
  return typeof token === "string" ? token : "";
}

function strings(token: Token | undefined): string[] {
  return Array.isArray(token) ? token.map((item) => text(item)) : [];
}
