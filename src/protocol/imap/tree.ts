// The folders of a target account: which name each path gets, never the same for two, and how missing ones are made.

import { MailError } from "../../mail/errors.ts";
import type { Folder, FolderPath } from "../../mail/model.ts";
import { decodeMutf7, showRaw } from "../../mail/mutf7.ts";
import type { Connection } from "./connection.ts";
import { folderRefusal } from "./errors.ts";
import {
  isInbox,
  isSelectable,
  type Listed,
  listMailboxes,
  type MailboxStatus,
  mailboxCommand,
  mailboxStatus,
  personalNamespace,
  specialUse,
} from "./mailbox.ts";
import { nameFor, parentsOf, pathOf, pathsOf, shortNameFor } from "./names.ts";
import type { Status } from "./parse.ts";

export interface Resolved {
  readonly name: string;
  /** As the path is read back. */
  readonly path: FolderPath;
}

export interface Remembered {
  readonly path: FolderPath;
  readonly name: string;
}

export interface MailboxTree {
  /** Always the same for the same path, and never a name that another path has. Changes nothing on the server. */
  resolve(path: FolderPath): Resolved;
  /**
   * As `resolve`; of a folder that is not there under that name, the other one that `ensure` found for it, when it was made. To be
   * asked when all paths were resolved: what is another path's own is not taken.
   */
  find(path: FolderPath): Resolved;
  /**
   * The names under which earlier runs filled these paths: theirs while they are there, whatever the rule would give them. To be told
   * when all paths were resolved, before any folder is made or found.
   */
  recall(names: readonly Remembered[]): void;
  /** Makes the folder where it is missing. Throws MailError of scope folder. */
  ensure(connection: Connection, folder: Folder): Promise<Resolved & { created: boolean }>;
  /** Paths whose folder was made under one name and is listed under another, with that one: one listing, where any was made. */
  respelled(connection: Connection): Promise<readonly (Remembered & { readonly listed: FolderPath })[]>;
  isSubscribed(name: string): boolean;
  /** As the listing told it when the tree was loaded: the folder is not there, or has another UIDVALIDITY. */
  isGone(name: string, uidValidity: string | undefined): boolean;
  /** UIDNEXT and MESSAGES as the listing told them when the tree was loaded, where it did. */
  statusOf(name: string): MailboxStatus | undefined;
}

const keyOf = (name: string): string => (isInbox(name) ? "INBOX" : name);
/** What servers do not tell apart that fold cases or compose characters. */
const caseless = (name: string): string => (decodeMutf7(name) ?? name).normalize("NFC").toLowerCase();
/** The same, and those that trim blanks. */
const spelling = (name: string): string =>
  caseless(name)
    .replace(/ +/g, " ")
    .replace(/ (?=$|[/.])/g, "");
/** What is left where a server replaces or drops characters that it does not want. */
const bones = (name: string): string => caseless(name).replace(/[^\p{L}\p{N}/]+/gu, "");
const pathKey = (path: FolderPath): string => JSON.stringify(path);
/** The attempt of `nameFor` whose name ends in a number. */
const SUBSTITUTE = 4;
/** Names in place of a refused one that are looked for. */
const PLAIN_NAMES = 8;
/** RFC 6154: these may be given to a folder when it is made. */
const CREATABLE_USES = new Set(["sent", "drafts", "trash", "junk", "archive"]);

export async function loadTree(connection: Connection): Promise<MailboxTree> {
  const [naming, first] = await Promise.all([personalNamespace(connection), listMailboxes(connection, "generation")]);
  const listed = new Map<string, Listed>();
  const byPath = new Map<string, string>();
  const pathOfName = new Map<string, FolderPath>();
  /** The same by their spelling. */
  const spelled = new Map<string, Listed[]>();
  const put = (one: Listed): void => {
    listed.set(keyOf(one.name), one);
    const others = spelled.get(spelling(one.name))?.filter(({ name }) => name !== one.name) ?? [];
    spelled.set(spelling(one.name), [...others, one]);
  };
  const adopt = (all: readonly Listed[]): void => {
    for (const one of all) put(one);
    byPath.clear();
    for (const [name, path] of pathsOf([...listed.values()], naming.prefix)) {
      pathOfName.set(name, path);
      byPath.set(pathKey(path), name);
    }
  };
  /** Other names, which the server may take for this one; first those that lack none of its blanks. */
  const alike = (name: string): Listed[] => {
    const others = (spelled.get(spelling(name)) ?? []).filter((one) => one.name !== name);
    const distance = (one: Listed): number => (caseless(one.name) === caseless(name) ? 0 : 1);
    return others.sort((one, two) => distance(one) - distance(two));
  };
  adopt(first);
  const plans = new Map<string, Resolved>();
  const claimed = new Set<string>();
  /** Under these names CREATE was answered OK, whatever is listed, and for which path. */
  const made = new Map<string, FolderPath>();
  /** How many of them have the same bones. */
  const madeAlike = new Map<string, number>();
  /** What was listed before this run made any. */
  const before = new Set(listed.keys());
  /** Those of them for which another name was listed. */
  const settled = new Set<string>();

  /** From `attempt` on: the first name that no other path has. */
  function claim(path: FolderPath, attempt: number, plain: boolean): { resolved: Resolved; attempt: number } {
    const existing = attempt === 0 && !plain ? byPath.get(pathKey(path)) : undefined;
    // What only holds folders was made on the way to them, and is nobody's: its path may have another name.
    const isOne = existing === undefined || isThere(existing) || existing === nameFor(path, naming, 0).name;
    if (existing !== undefined && isOne && !claimed.has(keyOf(existing))) {
      claimed.add(keyOf(existing));
      return { resolved: { name: existing, path }, attempt };
    }
    for (let n = attempt; ; n++) {
      const resolved = nameFor(path, naming, n, plain);
      if (claimed.has(keyOf(resolved.name))) continue;
      claimed.add(keyOf(resolved.name));
      return { resolved, attempt: n };
    }
  }

  function resolve(path: FolderPath): Resolved {
    const key = pathKey(path);
    let plan = plans.get(key);
    if (plan === undefined) {
      plan = claim(path, 0, false).resolved;
      plans.set(key, plan);
    }
    return plan;
  }

  function isThere(name: string): boolean {
    const known = listed.get(keyOf(name));
    return known !== undefined && isSelectable(known);
  }

  /** The folder that was made under this name, by its spelling too, if it is no other path's. */
  function madeAs(name: string): Resolved | undefined {
    const isFree = (one: string): boolean => isThere(one) && !claimed.has(keyOf(one));
    const found = isFree(name) ? name : alike(name).find((one) => isFree(one.name))?.name;
    return found === undefined ? undefined : { name: found, path: pathNamed(found) };
  }

  /** As a source of this account gives it. */
  function pathNamed(name: string): FolderPath {
    return pathOfName.get(name) ?? pathOf(name, naming.delimiter, naming.prefix);
  }

  /** The first of these that was made for the path, and is its own from now on. */
  function adoptOne(path: FolderPath, names: readonly string[]): Resolved | undefined {
    for (const name of names) {
      const found = madeAs(name);
      if (found === undefined) continue;
      claimed.add(keyOf(found.name));
      plans.set(pathKey(path), found);
      return found;
    }
    return undefined;
  }

  /** Names that a path gets where its own is another's: nobody else's by chance. */
  const substitutes = (path: FolderPath): string[] => [
    shortNameFor(path, naming).name,
    nameFor(path, naming, SUBSTITUTE).name,
  ];

  function recall(names: readonly Remembered[]): void {
    const recalled = new Map<string, Resolved>();
    const taken = new Set<string>();
    const take = ({ path }: Remembered, name: string | undefined): void => {
      if (name === undefined || taken.has(keyOf(name)) || recalled.has(pathKey(path))) return;
      taken.add(keyOf(name));
      recalled.set(pathKey(path), { name, path: pathNamed(name) });
    };
    // Under the very name first: another path's may be alike.
    for (const one of names) if (isThere(one.name)) take(one, one.name);
    for (const one of names)
      take(one, alike(one.name).find(({ name }) => isThere(name) && !taken.has(keyOf(name)))?.name);
    if (recalled.size === 0) return;
    claimed.clear();
    for (const name of taken) claimed.add(name);
    for (const [key, plan] of plans) {
      if (recalled.has(key)) continue;
      // Whoever had it by the rule gets another one when it is asked for.
      if (taken.has(keyOf(plan.name))) plans.delete(key);
      else claimed.add(keyOf(plan.name));
    }
    for (const [key, plan] of recalled) plans.set(key, plan);
  }

  function find(path: FolderPath): Resolved {
    const plan = resolve(path);
    if (keyOf(plan.name) === "INBOX" || isThere(plan.name)) return plan;
    const plain = Array.from({ length: PLAIN_NAMES }, (_, attempt) => nameFor(path, naming, attempt, true).name);
    return adoptOne(path, [...substitutes(path), ...plain, plan.name]) ?? plan;
  }

  /** What is listed for the names that were made and are listed in another spelling is theirs: each takes the nearest. */
  function settleMade(isListed: ReadonlySet<string>, but: string): void {
    for (const name of made.keys()) {
      if (name === but || settled.has(name) || isListed.has(keyOf(name))) continue;
      const own = alike(name).find((one) => isThere(one.name) && !claimed.has(keyOf(one.name)));
      if (own === undefined) continue;
      settled.add(name);
      claimed.add(keyOf(own.name));
    }
  }

  async function ensure(on: Connection, folder: Folder): Promise<Resolved & { created: boolean }> {
    const plan = resolve(folder.path);
    const known = listed.get(keyOf(plan.name));
    if (keyOf(plan.name) === "INBOX" || (known !== undefined && isSelectable(known)))
      return { ...plan, created: false };
    // Not what is alike in spelling to its own name: only the server knows whether that is the same.
    const earlier = adoptOne(folder.path, substitutes(folder.path));
    if (earlier !== undefined) return { ...earlier, created: false };
    const hadAlike = alike(plan.name).length > 0;
    const refusal = await create(on, plan.name, folder);
    if (refusal === undefined && !hadAlike && (madeAlike.get(bones(plan.name)) ?? 0) < 2)
      return { ...plan, created: true };
    const all = await listMailboxes(on, "generation");
    adopt(all);
    const isListed = new Set(all.map(({ name }) => keyOf(name)));
    settleMade(isListed, plan.name);
    const now = isListed.has(keyOf(plan.name)) ? listed.get(keyOf(plan.name)) : undefined;
    // What is listed under this name may be what was made under another one, which is not.
    const isOthers =
      refusal === undefined
        ? isMerged(plan.name, all, isListed)
        : alike(plan.name).some(({ name }) => made.has(name) && !isListed.has(keyOf(name))) ||
          [...made.keys()].some((name) => !isListed.has(keyOf(name)) && bones(name) === bones(plan.name));
    if (refusal === undefined && isOthers) unmake(plan.name);
    else if (refusal === undefined && !hadAlike) return { ...plan, created: true };
    if (now !== undefined && isSelectable(now) && !isOthers) return { ...plan, created: refusal === undefined };
    // It is there, as an earlier run made it: under a name in which characters are replaced or missing.
    if (refusal !== undefined && now === undefined)
      for (const name of [plan.name, ...substitutes(folder.path)]) {
        const found = await meantBy(on, name, all);
        if (found === undefined) continue;
        claimed.add(keyOf(found));
        const resolved = { name: found, path: pathNamed(found) };
        plans.set(pathKey(folder.path), resolved);
        return { ...resolved, created: false };
      }
    // The server may fold cases, or refuse characters: another name is better than no copy, and the path tells of it.
    const folded = alike(plan.name);
    const other = folded.length > 0 || isOthers ? claim(folder.path, SUBSTITUTE, false) : claim(folder.path, 0, true);
    // What is listed in another spelling, and is no other path's, was made under this name; but not where another one was found
    // for it before.
    const same = folded.find((one) => isSelectable(one) && !claimed.has(keyOf(one.name)));
    if (same !== undefined && !listed.has(keyOf(other.resolved.name))) {
      claimed.add(keyOf(same.name));
      const found = { name: same.name, path: pathNamed(same.name) };
      plans.set(pathKey(folder.path), found);
      return { ...found, created: false };
    }
    for (const { name, path } of [other.resolved, shortNameFor(folder.path, naming)]) {
      const there = listed.get(keyOf(name));
      if (name === plan.name || (there === undefined && alike(name).length > 0)) continue;
      const again = there !== undefined && isSelectable(there) ? undefined : await create(on, name, folder);
      if (again !== undefined) continue;
      plans.set(pathKey(folder.path), { name, path });
      return { name, path, created: there === undefined };
    }
    const error = folderRefusal(
      `the folder ${showRaw(plan.name)} cannot be made`,
      refusal ?? { status: "NO", text: "" },
    );
    // Only SELECT can say that there is no such folder; here it means that one above it is missing.
    throw error.code === "not-found"
      ? new MailError("protocol", error.message, { ...error.details, scope: "folder" })
      : error;
  }

  /** CREATE was answered OK for it and for others like it, and fewer folders came of that than there are names. */
  function isMerged(name: string, all: readonly Listed[], isListed: ReadonlySet<string>): boolean {
    if (isListed.has(keyOf(name))) return false;
    const like = (other: string): boolean => bones(other) === bones(name);
    const lost = [...made.keys()].filter((other) => like(other) && !isListed.has(keyOf(other)));
    const fresh = all.filter((one) => like(one.name) && isNew(one)).length;
    // A server that lists none of them yet says nothing.
    return fresh > 0 && fresh < lost.length;
  }

  /** Listed, and neither before this run nor by a name that it made. */
  function isNew(one: Listed): boolean {
    return !before.has(keyOf(one.name)) && !made.has(one.name) && isSelectable(one);
  }

  function unmake(name: string): void {
    made.delete(name);
    madeAlike.set(bones(name), (madeAlike.get(bones(name)) ?? 1) - 1);
  }

  /** What is listed in place of a name that the server knows and does not list, if it is no other path's, and the only one. */
  async function meantBy(on: Connection, name: string, all: readonly Listed[]): Promise<string | undefined> {
    const isLike = (one: Listed): boolean => isSelectable(one) && bones(one.name) === bones(name);
    // What came up since is what this run made for another path.
    const others = all.filter((one) => isLike(one) && before.has(keyOf(one.name)) && !claimed.has(keyOf(one.name)));
    if (others.length === 0 || bones(name) === "") return undefined;
    const generation = await generationOf(on, name);
    if (generation === undefined) return undefined;
    const found = (await theOne(on, generation, others))?.name;
    return found !== undefined && claimed.has(keyOf(found)) ? undefined : found;
  }

  /** UIDVALIDITY, "" where it is not told; undefined for a name that the server does not know. */
  async function generationOf(on: Connection, name: string): Promise<string | undefined> {
    try {
      return (await mailboxStatus(on, name, "UIDVALIDITY")).uidValidity ?? "";
    } catch (error) {
      if (error instanceof MailError && error.details.scope === "folder") return undefined;
      throw error;
    }
  }

  /** The only one of these, or the only one of that generation. */
  async function theOne(
    on: Connection,
    generation: string | undefined,
    others: readonly Listed[],
  ): Promise<Listed | undefined> {
    if (others.length < 2) return others[0];
    const same: Listed[] = [];
    for (const one of others)
      if (generation !== "" && generation === (await generationOf(on, one.name))) same.push(one);
    return same.length === 1 ? same[0] : undefined;
  }

  async function respelled(on: Connection): Promise<readonly (Remembered & { listed: FolderPath })[]> {
    if (made.size === 0) return [];
    const all = await listMailboxes(on, "generation");
    const isListed = new Set(all.map(({ name }) => keyOf(name)));
    const lost = [...made].filter(([name]) => !isListed.has(keyOf(name)));
    const fresh = all.filter(isNew);
    const found: (Remembered & { listed: FolderPath })[] = [];
    for (const [name, path] of lost) {
      const like = fresh.filter((one) => bones(one.name) === bones(name) || spelling(one.name) === spelling(name));
      const one = await theOne(on, like.length < 2 ? undefined : await generationOf(on, name), like);
      if (one !== undefined) found.push({ path, name: one.name, listed: pathNamed(one.name) });
    }
    return found;
  }

  /** The refusal, or undefined when it is made. */
  async function create(on: Connection, name: string, folder: Folder): Promise<Status | undefined> {
    const { use } = folder;
    const isFree = ![...listed.values()].some((one) => specialUse(one) === use);
    let answer: Status = { status: "NO", text: "" };
    if (use !== undefined && CREATABLE_USES.has(use) && isFree && on.has("CREATE-SPECIAL-USE")) {
      const attribute = `\\${use.charAt(0).toUpperCase()}${use.slice(1)}`;
      answer = await mailboxCommand(on, "CREATE", name, ` (USE (${attribute}))`);
    }
    if (answer.status !== "OK") answer = await mailboxCommand(on, "CREATE", name);
    if (answer.status !== "OK" && (await createParents(on, name))) answer = await mailboxCommand(on, "CREATE", name);
    if (answer.status !== "OK") return answer;
    put({ name, delimiter: naming.delimiter, attributes: new Set(), subscribed: false });
    made.set(name, folder.path);
    madeAlike.set(bones(name), (madeAlike.get(bones(name)) ?? 0) + 1);
    return undefined;
  }

  /** Most servers make the folders above by themselves (RFC 3501 6.3.3 says they should). True when there were any to make. */
  async function createParents(on: Connection, name: string): Promise<boolean> {
    let made = false;
    for (const parent of parentsOf(name, naming)) {
      if (listed.has(keyOf(parent))) continue;
      made = (await mailboxCommand(on, "CREATE", parent)).status === "OK" || made;
    }
    return made;
  }

  function isGone(name: string, uidValidity: string | undefined): boolean {
    const known = listed.get(keyOf(name));
    if (known === undefined || !isSelectable(known)) return keyOf(name) !== "INBOX";
    const now = known.status?.uidValidity;
    return uidValidity !== undefined && now !== undefined && now !== uidValidity;
  }

  return {
    resolve,
    recall,
    find,
    ensure,
    respelled,
    isSubscribed: (name) => listed.get(keyOf(name))?.subscribed === true,
    isGone,
    statusOf: (name) => listed.get(keyOf(name))?.status,
  };
}
