// What a run's events leave behind for its report: sums, losses by folder, and the messages that need a person.

import type { Loss } from "../mail/fidelity.ts";
import type { LeftOut } from "../mail/left-out.ts";
import { type FolderPath, showPath } from "../mail/model.ts";
import type { Disposition, MigrationEvent, RunSummary } from "../migrate/events.ts";

/** Messages of one disposition named on the terminal; --report has them all. */
const NAMED_MESSAGES = 20;
/** The same of what was left out. */
export const NAMED_LEFT_OUT = 50;
/** Kinds of losses told apart; a hostile mailbox may have a keyword a message. */
const KINDS_OF_LOSS = 1000;

export interface Trouble {
  readonly folder: FolderPath;
  readonly id: string;
  readonly as: Disposition;
  readonly bytes: number;
  readonly reason: string;
  readonly hint?: string;
  readonly quarantine?: string;
  readonly subject?: string;
  readonly from?: string;
  readonly date?: Date;
}

export interface LossLine {
  readonly loss: Loss;
  messages: number;
  readonly folders: Map<string, number>;
}

export interface PlanLine {
  readonly folder: string;
  readonly name: string;
  messages: number;
  bytes: number;
  /** Messages that the target has. */
  there: number;
  /** Left out by the options, or not to be had. */
  out: number;
  /** Would be deleted at the source. */
  due: number;
  losses: number;
}

/** A person can tell which message it is: by its header, or by its bytes that were set aside. */
function isKnown({
  subject,
  from,
  date,
  quarantine,
}: {
  readonly subject?: string;
  readonly from?: string;
  readonly date?: Date;
  readonly quarantine?: string;
}): boolean {
  return [subject, from, date].some((part) => part !== undefined) || quarantine?.endsWith(".txt") === false;
}

export type Removal = Extract<MigrationEvent, { type: "folder-removed" }>;

export class Notes {
  /** The first of each disposition that needs a look: failed, altered, vanished. */
  readonly troubles: Trouble[] = [];
  readonly losses = new Map<string, LossLine>();
  /** Messages that failed and have a way out of their own. */
  hinted = 0;
  /** Losses beyond the kinds that are told apart. */
  otherLosses = 0;
  /** Only in a dry run. */
  readonly plan = new Map<string, PlanLine>();
  /** A folder each: what was deleted at the source, and what stayed. */
  readonly removals: Removal[] = [];
  /** The first of what looks like mail and was not read. */
  readonly leftOut: LeftOut[] = [];
  summary: RunSummary | undefined;
  readonly #isDry: boolean;
  readonly #named = new Map<Disposition, number>();

  constructor(isDry: boolean) {
    this.#isDry = isDry;
  }

  add(event: MigrationEvent): void {
    switch (event.type) {
      case "message-settled": {
        const { entry, as, losses, bytes } = event;
        if (as === "failed" || as === "altered" || as === "vanished") this.#trouble(event);
        if (as === "failed" && event.error?.details.hint !== undefined) this.hinted++;
        if (losses.length > 0) this.#lose(entry.origin.folder, losses);
        if (!this.#isDry) return;
        const line = this.#planOf(entry.origin.folder);
        if (as === "planned") {
          line.messages++;
          line.bytes += bytes;
        } else if (as === "already-copied" || as === "adopted") line.there++;
        else line.out++;
        line.losses += losses.length;
        return;
      }
      case "folder-opened":
        if (event.losses.length > 0) this.#lose(event.folder.path, event.losses);
        if (this.#isDry) this.#planOf(event.folder.path, event.name).losses += event.losses.length;
        return;
      case "folder-unchanged":
        if (this.#isDry) this.#planOf(event.folder.path).there += event.messages;
        return;
      case "folder-finished":
        if (this.#isDry) this.#planOf(event.folder.path).due += event.summary.due ?? 0;
        return;
      case "folder-removed":
        this.removals.push(event);
        return;
      case "left-out":
        if (this.leftOut.length < NAMED_LEFT_OUT) this.leftOut.push(event);
        return;
      case "run-finished":
        this.summary = event.summary;
        return;
      default:
        return;
    }
  }

  /** In the order in which the source has its folders, whichever was done first. */
  inOrder<T>(items: readonly T[], pathOf: (item: T) => string): T[] {
    const places = new Map(this.summary?.folders.map(({ folder }, i) => [showPath(folder), i]));
    const place = (item: T): number => places.get(pathOf(item)) ?? places.size;
    return [...items].sort((a, b) => place(a) - place(b));
  }

  /** Those of one disposition, in the source's order: by folder, and by number where their ids are numbers. */
  troublesOf(as: Disposition): Trouble[] {
    const some = this.troubles.filter((one) => one.as === as);
    const byId = some.every(({ id }) => /^\d{1,15}$/.test(id))
      ? some.sort((a, b) => Number(a.id) - Number(b.id))
      : some;
    return this.inOrder(byId, ({ folder }) => showPath(folder));
  }

  #trouble(event: Extract<MigrationEvent, { type: "message-settled" }>): void {
    const { entry, as, bytes, error, note, quarantine, subject, from, date } = event;
    const named = this.#named.get(as) ?? 0;
    const isFull = named >= NAMED_MESSAGES;
    // Those whose headers are asked for are settled behind the others: they are the ones that a person can know.
    const place = isFull && isKnown(event) ? this.troubles.findLastIndex((one) => one.as === as && !isKnown(one)) : -1;
    if (isFull && place === -1) return;
    if (isFull) this.troubles.splice(place, 1);
    else this.#named.set(as, named + 1);
    const { folder, id } = entry.origin;
    const hint = error?.details.hint;
    this.troubles.push({
      folder,
      id,
      as,
      bytes: Math.max(bytes, entry.size ?? 0),
      reason: error?.message ?? note ?? (as === "vanished" ? "listed, and then gone from the source" : as),
      ...(hint === undefined ? {} : { hint }),
      ...(quarantine === undefined ? {} : { quarantine }),
      ...(subject === undefined ? {} : { subject }),
      ...(from === undefined ? {} : { from }),
      ...(date === undefined ? {} : { date }),
    });
  }

  #lose(folder: FolderPath, losses: readonly Loss[]): void {
    const where = showPath(folder);
    for (const loss of losses) {
      const key = JSON.stringify(loss);
      let line = this.losses.get(key);
      if (line === undefined) {
        if (this.losses.size >= KINDS_OF_LOSS && loss.kind !== "folder-name") {
          this.otherLosses++;
          continue;
        }
        line = { loss, messages: 0, folders: new Map() };
        this.losses.set(key, line);
      }
      line.messages++;
      line.folders.set(where, (line.folders.get(where) ?? 0) + 1);
    }
  }

  #planOf(folder: FolderPath, name?: string): PlanLine {
    const key = showPath(folder);
    let line = this.plan.get(key);
    if (line === undefined) {
      line = { folder: key, name: name ?? key, messages: 0, bytes: 0, there: 0, out: 0, due: 0, losses: 0 };
      this.plan.set(key, line);
    }
    return line;
  }
}
