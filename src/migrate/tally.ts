// The sums of a run: dispositions, losses and folders. What was listed must equal what was settled.

import type { MailError } from "../mail/errors.ts";
import type { Loss } from "../mail/fidelity.ts";
import { type Folder, type FolderPath, showPath } from "../mail/model.ts";
import {
  type Balance,
  DISPOSITIONS,
  type Disposition,
  type FolderProgress,
  type FolderSummary,
  type KeptWhy,
} from "./events.ts";

/** Written out: there is one for each folder, and an object that is put together takes half as much again. */
export function emptyBalance(): Record<Disposition, number> {
  return {
    copied: 0,
    "already-copied": 0,
    adopted: 0,
    filtered: 0,
    altered: 0,
    failed: 0,
    vanished: 0,
    planned: 0,
  };
}

/** Of a folder of which nothing stayed, as most are. */
const NONE: Partial<Record<KeptWhy, number>> = Object.freeze({});

export function sumOf(balance: Balance): number {
  return DISPOSITIONS.reduce((sum, name) => sum + balance[name], 0);
}

/** The sums of one source folder. */
export class FolderTally {
  readonly folder: FolderPath;
  readonly name: string;
  readonly balance = emptyBalance();
  /** Origins that the last pass found wanted and could not settle; 0 when everything came. */
  unresolved = 0;
  /** Messages that the source counts in it, and does not list. */
  unlisted = 0;
  /** A run before this one went over the folder: what is not listed now either, another one will hardly bring. */
  isKnown = false;
  /** The source has not listed everything yet, or was stopped before it had: nobody knows what is left. */
  isCut = true;
  error: string | undefined;
  /** In a dry run: what would be deleted at the source. */
  due = 0;
  /** Deleted at the source, and what stayed there for which reason. */
  removed = 0;
  #stayed = NONE;

  constructor(folder: FolderPath, name: string) {
    this.folder = folder;
    this.name = name;
  }

  get stayed(): Readonly<Partial<Record<KeptWhy, number>>> {
    return this.#stayed;
  }

  stays(why: KeptWhy): void {
    this.#stayed = { ...this.#stayed, [why]: (this.#stayed[why] ?? 0) + 1 };
  }

  /** Nothing is left of it that another run could be expected to bring. */
  get isDone(): boolean {
    return this.unresolved === 0 && !this.isCut && this.error === undefined && (this.unlisted === 0 || this.isKnown);
  }

  get closes(): boolean {
    return this.isDone && this.unlisted === 0;
  }

  /** Its balance is not copied: with thousands of folders that would be most of what the end of a run holds. */
  summary(): FolderSummary {
    const settled = sumOf(this.balance);
    const { unlisted } = this;
    const error = this.error ?? (unlisted > 0 ? unlistedText(unlisted) : undefined);
    return {
      folder: this.folder,
      name: this.name,
      listed: settled + this.unresolved,
      balance: this.balance,
      closes: this.closes,
      ...(this.due === 0 ? {} : { due: this.due }),
      ...(unlisted === 0 ? {} : { unlisted }),
      ...(error === undefined ? {} : { error }),
    };
  }
}

export function unlistedText(messages: number): string {
  const many = messages === 1 ? "1 message" : `${messages} messages`;
  return `the source counts ${many} here that it does not list; they can be neither read nor named`;
}

/** The sums of a whole run. */
export class RunTally {
  readonly folders: FolderTally[] = [];
  /** Folders that were planned and not begun; before the plan nobody knows how many there are. */
  #ahead: number | undefined;
  #planned: readonly Folder[] = [];
  /** Spent on waiting for an answer of the user. */
  waitedMs = 0;
  bytes = 0;
  traitsUpdated = 0;
  removed = 0;
  kept = 0;
  /** Parts of the source or the target that were lost. */
  missing: readonly string[] = [];
  /** Things that look like mail and were not read. */
  leftOut = 0;
  /** What the options ask for and the source has not, each in words. */
  unmatched: readonly string[] = [];
  /** Messages that failed in an earlier run too. */
  failedAgain = 0;
  readonly #losses = new Map<string, { loss: Loss; messages: number }>();

  addLosses(losses: readonly Loss[]): void {
    for (const loss of losses) {
      const key = JSON.stringify(loss);
      const known = this.#losses.get(key);
      if (known === undefined) this.#losses.set(key, { loss, messages: 1 });
      else known.messages++;
    }
  }

  get due(): number {
    return this.folders.reduce((sum, { due }) => sum + due, 0);
  }

  /** In the order of the source. */
  plan(folders: readonly Folder[]): void {
    this.#ahead = folders.length;
    this.#planned = folders;
  }

  /** In the order in which the source has them, whichever was begun first. */
  inOrder(): readonly FolderTally[] {
    const places = new Map(this.#planned.map(({ path }, i) => [showPath(path), i]));
    const place = ({ folder }: FolderTally): number => places.get(showPath(folder)) ?? places.size;
    return [...this.folders].sort((a, b) => place(a) - place(b));
  }

  /** Of a run that came to no end: what was done in each folder that it was to carry, and what is open, as far as the source counts it. */
  progress(): readonly FolderProgress[] {
    const begun = new Map(this.folders.map((tally) => [showPath(tally.folder), tally]));
    return this.#planned.map(({ path, messages }) => {
      const tally = begun.get(showPath(path));
      const done = tally === undefined ? 0 : sumOf(tally.balance);
      const listed = tally === undefined ? 0 : tally.summary().listed;
      const isKnown = messages !== undefined || tally?.isCut === false;
      return { folder: path, done, ...(isKnown ? { open: Math.max(messages ?? 0, listed) - done } : {}) };
    });
  }

  begin(folder: FolderTally): void {
    this.folders.push(folder);
    if (this.#ahead !== undefined) this.#ahead--;
  }

  /** Every folder was read, and everything in it came to its end. */
  get closes(): boolean {
    return this.#ahead === 0 && this.folders.every((folder) => folder.closes);
  }

  /** The same, but for what no other run is expected to bring. */
  get isDone(): boolean {
    return this.#ahead === 0 && this.folders.every((folder) => folder.isDone);
  }

  /** A folder of which nothing can be carried. */
  refuse(folder: FolderPath, error: MailError): void {
    const tally = new FolderTally(folder, showPath(folder));
    tally.error = error.message;
    this.folders.push(tally);
  }

  get losses(): readonly { readonly loss: Loss; readonly messages: number }[] {
    return [...this.#losses.values()];
  }

  balance(): Balance {
    const total = emptyBalance();
    for (const { balance } of this.folders) for (const name of DISPOSITIONS) total[name] += balance[name];
    return total;
  }
}
