// What a folder on a disk holds: Maildirs and mboxes, in whatever tree mail programs make of them, and what of it is not read.
//
// Trees: Maildir++ (".A.B"), nested Maildirs ("A/B"; mbsync's and Dovecot's), KMail's ".A.directory/B", Thunderbird's "A.sbd/B",
// Apple Mail's "A.mbox/mbox", plain folders of mboxes, and mixtures. Real folders come first, then what links lead to, then hidden
// folders that are no Maildirs: what lies in two of these is called as in the first. No folder is met twice.

import type { Dirent } from "node:fs";
import { readdir, readlink, realpath, stat } from "node:fs/promises";
import { errno, ioError } from "../../mail/errors.ts";
import type { LeftOut } from "../../mail/left-out.ts";
import { type FolderPath, showPath } from "../../mail/model.ts";
import { ARCHIVE_HOME } from "../archive.ts";
import { decodePart, pathOfDirectory } from "../maildir/folder-name.ts";
import { type BytePath, fsPath, listedPath, showBytes, toBytes } from "../maildir/paths.ts";
import { shellWord } from "./foreign.ts";
import { Forms } from "./forms.ts";
import { mailInLitter } from "./litter.ts";
import { INDEX, isLitter, isLock, kmailParent, SERVICE } from "./names.ts";
import { beginsAsMbox, type Sniffed, sniff } from "./sniff.ts";

export interface DiskFolder {
  readonly path: FolderPath;
  /** "none" only holds others. */
  readonly kind: "maildir" | "mbox" | "none";
  /** The directory or the file. */
  readonly place: BytePath;
  /** The same below the root, "" for the root itself. */
  readonly name: BytePath;
}

export interface DiskTree {
  /** Each path once, parents first. */
  readonly folders: readonly DiskFolder[];
  readonly leftOut: readonly LeftOut[];
  /** Folders (with what lies below them) to which earlier versions gave another name. */
  readonly formerly: readonly Renamed[];
  /** What is no mail, or was read under another name. */
  readonly notices: readonly string[];
}

export interface Renamed {
  readonly path: FolderPath;
  readonly was: FolderPath;
}

export interface TreeOptions {
  /** By which rule folders are called, and what a folder needs to be a Maildir. */
  readonly style: "maildir" | "mbox";
  /** An archive of ours: nothing but its own Maildirs is part of it, and no link is. */
  readonly isOwn?: boolean;
  readonly followLinks?: boolean;
}

/** Directories that a search looks into at the most: a whole disk is no mail folder. */
const MOST_DIRECTORIES = 200_000;

/** A directory that is still to be gone into. */
interface Visit {
  readonly directory: BytePath;
  readonly name: BytePath;
  readonly path: FolderPath;
}

interface Link extends Visit {
  /** Of the folder that it lies in. */
  readonly parent: FolderPath;
  readonly text: string;
  readonly isNamed: boolean;
}

/** How a mailbox file is called as a folder: without `.mbox`, and any spelling of INBOX is the inbox. */
export function folderName(fileName: string): string {
  const name = withoutMbox(fileName);
  return name.toLowerCase() === "inbox" ? "INBOX" : name;
}

/** Throws MailError when the root cannot be listed; whatever else cannot be is left out by name. */
export async function readTree(root: string, options: TreeOptions, signal: AbortSignal): Promise<DiskTree> {
  const tree = new Tree(toBytes(root), options, signal);
  return await tree.read();
}

class Tree {
  readonly #root: BytePath;
  readonly #options: TreeOptions;
  readonly #signal: AbortSignal;
  readonly #folders = new Map<string, DiskFolder>();
  readonly #leftOut: LeftOut[] = [];
  readonly #notices: string[] = [];
  readonly #forms: Forms;
  readonly #met = new Set<string>();
  /** What a folder or a file is called, by its device and inode. */
  readonly #called = new Map<string, FolderPath>();
  readonly #formerly: Renamed[] = [];
  readonly #links: Link[] = [];
  readonly #hidden: Visit[] = [];
  #left = MOST_DIRECTORIES;

  constructor(root: BytePath, options: TreeOptions, signal: AbortSignal) {
    this.#root = root;
    this.#options = options;
    this.#signal = signal;
    this.#forms = new Forms(root);
  }

  async read(): Promise<DiskTree> {
    await this.#visit({ directory: this.#root, name: "", path: [] });
    while (this.#links.length > 0 || this.#hidden.length > 0) {
      // What lies higher up gives the name.
      const links = this.#links.splice(0).sort((a, b) => depthOf(a.name) - depthOf(b.name));
      for (const link of links) await this.#follow(link);
      if (links.length > 0) continue;
      for (const hidden of this.#hidden.splice(0, 1)) await this.#visit(hidden);
    }
    const folders = [...this.#folders.values()];
    return {
      folders: this.#options.style === "mbox" ? withParents(folders) : folders,
      leftOut: [...this.#leftOut, ...this.#forms.leftOut()],
      formerly: this.#formerly,
      notices: this.#notices,
    };
  }

  /** Depth first, each folder once. The root must be there. */
  async #visit(given: Visit): Promise<void> {
    const { directory, name } = given;
    let visit = given;
    this.#signal.throwIfAborted();
    let entries: Dirent[];
    try {
      const info = await stat(fsPath(directory), { bigint: true });
      const id = `${info.dev}:${info.ino}`;
      if (this.#isMet(info)) {
        // Links were taken in the order of their names, and gave theirs to what they lead to.
        const path = this.#called.get(id);
        if (path !== undefined && path.length > 0) this.#formerly.push({ path, was: visit.path });
        return;
      }
      this.#called.set(id, visit.path);
      if (this.#left-- <= 0) {
        if (this.#left === -1)
          this.#leave(
            visit,
            `it is more than the ${MOST_DIRECTORIES} folders that are looked into`,
            "Give a part of the tree.",
          );
        return;
      }
      entries = (await readdir(listedPath(directory), { withFileTypes: true, encoding: "latin1" })) as Dirent[];
    } catch (error) {
      if (name === "") throw ioError(`cannot read the folder ${showBytes(directory)}`, error);
      // Gone since it was listed.
      if (errno(error) !== "ENOENT") this.#unreadable(visit, error);
      return;
    }
    const isMail = await this.#isMaildir(visit, entries);
    if (isMail === true)
      this.#add({ path: name === "" ? ["INBOX"] : visit.path, kind: "maildir", place: directory, name });
    const names = new Set(entries.map((entry) => entry.name));
    const isBundle = this.#isBundle(directory, names);
    if (isBundle && name === "") {
      visit = { ...given, path: this.#bundlePath(given) };
      this.#formerly.push({ path: visit.path, was: ["mbox"] });
    }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      // The mail itself; what lies in it is looked at when it is read.
      if (isMail !== false && isPlace(entry.name) && !entry.isFile()) continue;
      if (
        entry.name === ARCHIVE_HOME &&
        entry.isDirectory() &&
        (await this.#isHome(name, `${directory}/${entry.name}`))
      )
        continue;
      const isNamed = names.has(`${entry.name}.msf`) || (isBundle && entry.name === "mbox");
      await this.#meet(visit, entry, isMail !== false, isNamed, isBundle);
    }
  }

  /** What is not mail of an archive of ours; that one may lie deeper in the tree. */
  async #isHome(name: BytePath, home: BytePath): Promise<boolean> {
    return (
      name === "" ||
      (await stat(fsPath(`${home}/archive.json`)).then(
        () => true,
        () => false,
      ))
    );
  }

  async #meet(visit: Visit, entry: Dirent, isMail: boolean, isNamed: boolean, isBundle: boolean): Promise<void> {
    const below = { directory: `${visit.directory}/${entry.name}`, name: join(visit.name, entry.name) };
    const text = showBytes(entry.name);
    if (entry.isDirectory()) {
      const kmail = kmailParent(text);
      const isOdd = text.startsWith(".") || isLitter(text);
      const isMaildir = isOdd && (await this.#holdsMaildir(below.directory));
      if (!isMaildir && isLitter(text)) {
        await this.#lookIntoLitter({ ...below, path: this.#pathOf(visit.path, text) });
        return;
      }
      if (!isMaildir && kmail !== undefined) await this.#visit({ ...below, path: this.#below(visit.path, kmail) });
      else if (isMaildir || !text.startsWith("."))
        await this.#visit({
          ...below,
          path: isNamed ? this.#filePath(visit.path, text) : this.#pathOf(visit.path, text),
        });
      else this.#hidden.push({ ...below, path: this.#pathOf(visit.path, text) });
    } else if (entry.isSymbolicLink())
      this.#links.push({ ...below, path: this.#pathOf(visit.path, text), parent: visit.path, text, isNamed });
    else if (!entry.isFile()) this.#notices.push(`${showBytes(below.directory)} is neither a file nor a folder`);
    else {
      const own = isBundle && text === "mbox" ? this.#bundlePath(visit) : undefined;
      await this.#file({ ...below, path: own ?? this.#filePath(visit.path, text) }, text, visit, isMail, isNamed);
    }
  }

  async #lookIntoLitter({ directory, name, path }: Visit): Promise<void> {
    for await (const { name: below, kind } of mailInLitter(directory, (place) => this.#holdsMaildir(place))) {
      const place = `${directory}/${below}`;
      this.#leave(
        { directory: place, name: join(name, below), path: [...path, showBytes(below)] },
        `it is ${kind === "maildir" ? "a Maildir" : "an mbox"} in a folder that a program keeps for itself`,
        `Give it by itself: ${shellWord(`${kind}:${showBytes(place)}`)}`,
      );
    }
  }

  /** A file: its own place, and the folder that it lies in. */
  async #file(
    file: Visit,
    text: string,
    parent: Visit,
    isMail: boolean,
    isNamed: boolean,
    isLink = false,
  ): Promise<void> {
    const isService = SERVICE.test(text) && (isMail || this.#options.style === "maildir");
    if (isService && !this.#mayBeMbox(text, file.directory)) return;
    const shown = showBytes(file.directory);
    let what: Sniffed;
    try {
      what = await sniff(file.directory, text, isNamed);
    } catch (error) {
      if (errno(error) === "ENOENT") return;
      this.#unreadable(file, error, false);
      return;
    }
    if (isService && what.is !== "mbox") return;
    if (this.#met.has(what.id) && (isLink || what.isOne)) {
      const path = this.#called.get(what.id);
      if (path !== undefined) this.#formerly.push({ path, was: file.path });
      return;
    }
    this.#met.add(what.id);
    this.#called.set(what.id, file.path);
    if (what.form !== undefined) this.#forms.add(what.form, parent, file);
    else if (what.is === "spoilt")
      this.#leave(
        file,
        "a mail program calls it a mailbox, and no message begins in it",
        "Mend it, or take a copy of it from a backup.",
      );
    else if (what.is === "empty") {
      if (this.#options.style === "mbox" && !isMail && !text.startsWith(".")) this.#mbox(file);
    } else if (what.is === "nothing") {
      if (this.#options.style === "mbox" && !isMail && !text.startsWith(".") && !INDEX.test(text))
        this.#notices.push(`${shown} is not an mbox and not read`);
    } else if (this.#options.isOwn === true)
      this.#leave(
        file,
        "it is an mbox, and no part of this archive",
        `Give it by itself: ${shellWord(`mbox:${shown}`)}`,
      );
    else if (text.startsWith("."))
      this.#leave(file, "it is an mbox whose name is hidden", `Give it by itself: ${shellWord(`mbox:${shown}`)}`);
    else this.#mbox(file);
  }

  /** A name alone does not say that a file is a mail program's own: a folder of newsletters may be called "Subscriptions". */
  #mayBeMbox(text: string, place: BytePath): boolean {
    // Every folder of ours has these two, and we made them.
    if (this.#options.isOwn === true && (text === "mailferry-folder" || text === "maildirfolder")) return false;
    return beginsAsMbox(place);
  }

  #mbox({ path, directory, name }: Visit): void {
    this.#add({ path, kind: "mbox", place: directory, name });
  }

  /** No two share a path. */
  #add(folder: DiskFolder): void {
    const { path, place } = folder;
    let use = path;
    for (let n = 2; this.#folders.has(showPath(use)); n++) use = [...path.slice(0, -1), `${path.at(-1)} (${n})`];
    if (use !== path)
      this.#notices.push(
        `${showBytes(place)}: its name gives a folder that is there already, so it is read as ${showPath(use)}`,
      );
    this.#folders.set(showPath(use), { ...folder, path: use });
  }

  #isMet({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): boolean {
    const id = `${dev}:${ino}`;
    if (this.#met.has(id)) return true;
    this.#met.add(id);
    return false;
  }

  /** Inside the tree, and with followLinks outside it; never in an archive of ours. */
  async #follow(link: Link): Promise<void> {
    const { directory, text } = link;
    const isMaildir = await this.#holdsMaildir(directory);
    if (!isMaildir && isLitter(text)) return;
    const kmail = isMaildir ? undefined : kmailParent(text);
    const path = kmail === undefined ? link.path : this.#below(link.parent, kmail);
    try {
      const target = await realpath(fsPath(directory), { encoding: "buffer" });
      const info = await stat(target, { bigint: true });
      if (!info.isDirectory() && !info.isFile()) {
        this.#notices.push(`${showBytes(directory)} is a link to what is neither a file nor a folder`);
        return;
      }
      const refusal = await this.#refusal(target.toString("latin1"));
      if (info.isDirectory()) {
        if (refusal === undefined) await this.#visit({ ...link, path });
        else if (!this.#met.has(`${info.dev}:${info.ino}`)) this.#leave({ ...link, path }, ...refusal);
        return;
      }
      const file = { ...link, path: this.#filePath(link.parent, text) };
      if (refusal === undefined) {
        await this.#file(file, text, { ...link, path: link.parent }, false, link.isNamed, true);
      } else if ((!SERVICE.test(text) || beginsAsMbox(directory)) && (await this.#isMail(file, text, link.isNamed)))
        this.#leave(file, ...refusal, false);
    } catch (error) {
      if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") await this.#dangling(link);
      else if (errno(error) === "ELOOP")
        this.#notices.push(`${showBytes(directory)} is a link that leads round in a circle`);
      else this.#unreadable({ ...link, path }, error);
    }
  }

  /** Why a link is not followed, and the way out; undefined where it is. */
  async #refusal(target: BytePath): Promise<[string, string] | undefined> {
    if (this.#options.isOwn === true)
      return [
        "it is a link, and in an archive no link is followed",
        "Put the folder itself there, or take the link away.",
      ];
    if (this.#options.followLinks === true) return undefined;
    const root = (await realpath(fsPath(this.#root), { encoding: "buffer" })).toString("latin1");
    if (target === root || target.startsWith(root === "/" ? root : `${root}/`)) return undefined;
    return [`it is a link that leads out of the folder, to ${showBytes(target)}`, "--follow-links reads it too."];
  }

  async #isMail(file: Visit, text: string, isNamed: boolean): Promise<boolean> {
    const { is } = await sniff(file.directory, text, isNamed);
    return is === "mbox" || is === "foreign" || is === "spoilt";
  }

  async #dangling(link: Link): Promise<void> {
    const to = await readlink(fsPath(link.directory)).catch(() => "");
    if (to === "" || isLock(to) || link.text.startsWith(".#")) return;
    this.#leave(
      link,
      `it is a link to ${to}, which is not there`,
      "Put there what it leads to (mount it), or take the link away.",
    );
  }

  /** "elsewhere": its cur or new is a link that is not followed. */
  async #isMaildir(visit: Visit, entries: readonly Dirent[]): Promise<boolean | "elsewhere"> {
    const places: string[] = [];
    for (const entry of entries) {
      if (!isPlace(entry.name)) continue;
      if (entry.isDirectory()) places.push(entry.name);
      if (!entry.isSymbolicLink() || entry.name === "tmp") continue;
      const link = `${visit.directory}/${entry.name}`;
      const target = await realpath(fsPath(link), { encoding: "buffer" }).catch(() => undefined);
      const info = target && (await stat(target).catch(() => undefined));
      if (target === undefined || info?.isDirectory() !== true) continue;
      const refusal = await this.#refusal(target.toString("latin1"));
      if (refusal === undefined) {
        places.push(entry.name);
        continue;
      }
      this.#leave(
        { directory: link, name: visit.name, path: visit.path.length === 0 ? ["INBOX"] : visit.path },
        ...refusal,
      );
      return "elsewhere";
    }
    return isMaildirBy(places, this.#options.style);
  }

  /** The same of a directory that is not gone into yet. */
  async #holdsMaildir(directory: BytePath): Promise<boolean> {
    const has = await Promise.all(
      ["cur", "new", "tmp"].map((name) =>
        stat(fsPath(`${directory}/${name}`)).then(
          (info) => info.isDirectory(),
          () => false,
        ),
      ),
    );
    return isMaildirBy(
      ["cur", "new", "tmp"].filter((_, i) => has[i]),
      this.#options.style,
    );
  }

  /** Apple Mail exports a folder as NAME.mbox/mbox, with other files beside it. */
  #isBundle(directory: BytePath, names: ReadonlySet<string>): boolean {
    return names.has("mbox") && /[^/]\.mbox$/i.test(directory);
  }

  #bundlePath({ name, path, directory }: Visit): FolderPath {
    if (name !== "") return [...path.slice(0, -1), withoutMbox(path.at(-1) ?? "")];
    return [folderName(showBytes(directory.slice(directory.lastIndexOf("/") + 1)))];
  }

  /** How a directory is called. */
  #pathOf(parent: FolderPath, text: string): FolderPath {
    if (text.startsWith(".") && text.length > 1) return [...parent, ...pathOfDirectory(text)];
    return this.#below(parent, text);
  }

  #below(parent: FolderPath, text: string): FolderPath {
    const above = text.length > 4 ? text.replace(/\.sbd$/i, "") : text;
    // What Thunderbird keeps in "A.sbd" is called as A is, in whichever of its two stores.
    if (this.#options.style === "maildir" && above === text) return [...parent, decodePart(text)];
    return this.#filePath(parent, above);
  }

  /** How an mbox is called: the inbox is so called at the top alone, as an account's folder may hold others of that name. */
  #filePath(parent: FolderPath, text: string): FolderPath {
    return [...parent, parent.length === 0 ? folderName(text) : withoutMbox(text)];
  }

  #leave({ directory, path }: Visit, why: string, hint: string, isTree = true): void {
    this.#leftOut.push({ name: showBytes(directory), why, hint, folder: path, ...(isTree ? { isTree } : {}) });
  }

  #unreadable({ directory, path }: Visit, error: unknown, isTree = true): void {
    this.#leftOut.push({ ...unreadable(directory, path, error), ...(isTree ? { isTree } : {}) });
  }
}

/** A folder or file that the system does not let be read. */
export function unreadable(place: BytePath, folder: FolderPath, error: unknown): LeftOut {
  const code = errno(error) ?? "EIO";
  const why = code === "EACCES" || code === "EPERM" ? `it may not be read (${code})` : `it cannot be read (${code})`;
  const hint = "Mend its permissions or its disk; or leave it out with --exclude.";
  return { name: showBytes(place), why, hint, folder };
}

function isPlace(name: string): boolean {
  return name === "cur" || name === "new" || name === "tmp";
}

/**
 * In a tree of mboxes a folder may be called "new"; and empty ones are lost where a Maildir went through git, a zip or a cloud. Our
 * own rule for Maildirs is older, and stays.
 */
function isMaildirBy(places: readonly string[], style: TreeOptions["style"]): boolean {
  if (places.includes("cur")) return true;
  return places.includes("new") && (style === "maildir" || places.includes("tmp"));
}

function depthOf(name: BytePath): number {
  return name.split("/").length;
}

function join(above: BytePath, name: BytePath): BytePath {
  return above === "" ? name : `${above}/${name}`;
}

function withoutMbox(name: string): string {
  return name.length > 5 ? name.replace(/\.mbox$/i, "") : name;
}

/** Puts every folder that only holds folders before what it holds; those that hold nothing are not there. */
function withParents(folders: readonly DiskFolder[]): readonly DiskFolder[] {
  const all = new Map(folders.map((folder) => [showPath(folder.path), folder]));
  const ordered = new Map<string, DiskFolder>();
  for (const folder of folders)
    for (let length = 1; length <= folder.path.length; length++) {
      const path = folder.path.slice(0, length);
      const key = showPath(path);
      if (!ordered.has(key)) ordered.set(key, all.get(key) ?? { path, kind: "none", place: "", name: "" });
    }
  return [...ordered.values()];
}
