// Messages without an exact copy for which something is left in the target that may be theirs, as the server altered it. They are
// looked at when every message of the pass was looked up exactly, so that nobody is given what is another's own.

import { hash32 } from "../core/hash.ts";
import type { Body } from "../mail/body.ts";
import { messageIdOf } from "../mail/headers.ts";
import { isServersWork, type Likeness } from "../mail/likeness.ts";
import type { Origin, Received, Traits } from "../mail/model.ts";
import type { Alterations } from "./alterations.ts";
import type { Candidates } from "./candidates.ts";
import { Rivals } from "./rivals.ts";

/**
 * "exact": copies are found by their bytes alone. "alike": who is alone with his Message-ID and date gets what is left of them, where
 * it is surely the server that altered it; of all others it is noted how alike they are. "assigned": the most alike have got each other.
 */
export type Turn = "exact" | "alike" | "assigned";

/** A copy that is taken for this message, and how it differs. */
export interface Alike {
  readonly row: number;
  readonly likeness: Likeness;
  /** It has another Message-ID. */
  readonly isRenamed: boolean;
}

interface Note extends Alike {
  readonly name: string;
  /** Whatever was done to it, it is taken. */
  readonly isSure: boolean;
}

let passes = 0;

export class Later {
  turn: Turn = "exact";
  /** Messages that were not looked up at all, by their date: what is left may be theirs. */
  readonly #unread = new Rivals();
  /** Messages that wait, by Message-ID and date. */
  readonly #waiting = new Rivals();
  #notes: Note[] = [];
  readonly #assigned = new Map<string, Alike[]>();
  readonly #seen: Alterations;
  /** Rows are those of one folder. */
  readonly #number = passes++;

  constructor(seen: Alterations) {
    this.#seen = seen;
  }

  /** It is not looked up in this pass; what is left may be its own. */
  leave(received: Received | undefined): void {
    if (received !== undefined) this.#unread.add(0, received.epochSeconds);
  }

  /** It waits for the end of the pass. */
  wait(body: Body, { received }: Traits): void {
    if (received !== undefined) this.#waiting.add(idOf(body), received.epochSeconds);
  }

  /**
   * The copy that is this message's, or "later" where that is not settled yet; undefined where none is. `isSure`: one of its own may be
   * there, as a run was broken off over it. `isSent`: one surely is, as the server said. Throws what the candidates throw.
   */
  async find(
    candidates: Candidates,
    origin: Origin,
    body: Body,
    traits: Traits,
    isSure: boolean,
    isSent: boolean,
    signal: AbortSignal,
  ): Promise<Alike | "later" | undefined> {
    const { received } = traits;
    if (received === undefined || this.#unread.count(0, received.epochSeconds) > 0) return undefined;
    const name = nameOf(origin);
    if (this.turn === "assigned") return this.#assigned.get(name)?.pop();
    const all = await candidates.alike(body, traits, isSent, signal);
    const [best] = [...all].sort((a, b) => a.likeness.distance - b.likeness.distance);
    if (best === undefined) return undefined;
    const isAlone = this.#waiting.count(idOf(body), received.epochSeconds) === 1;
    if (isAlone && !best.isRenamed && (isSure || isServersWork(best.likeness, (what) => this.#seen.has(what))))
      return best;
    const group = `${idOf(body)} ${received.epochSeconds}`;
    for (const alike of all) this.#notes.push({ ...alike, name, isSure });
    this.#seen.note(group, `${this.#number}:${best.row}`, best.likeness.how);
    return "later";
  }

  /** Gives each copy to the message that it is most alike. */
  assign(): void {
    const isKnown = (what: string): boolean => this.#seen.has(what);
    const taken = new Set<number>();
    const open = new Map<string, number>();
    for (const { name, row } of this.#notes) {
      // A message of which there are several with one name was noted as often for each copy.
      const key = `${row} ${name}`;
      open.set(key, (open.get(key) ?? 0) + 1);
    }
    const places = (name: string, row: number): number => open.get(`${row} ${name}`) ?? 0;
    for (const { name, isSure, ...alike } of this.#notes.sort((a, b) => a.likeness.distance - b.likeness.distance)) {
      const { row, likeness } = alike;
      const mine = this.#assigned.get(name) ?? [];
      if (taken.has(row) || mine.length >= places(name, row)) continue;
      if (!isSure && !isServersWork(likeness, isKnown)) continue;
      taken.add(row);
      this.#assigned.set(name, [...mine, alike]);
    }
    this.#notes = [];
  }
}

function idOf(body: Body): number {
  return hash32(messageIdOf(body.head) ?? "", 2);
}

function nameOf({ folder, generation, id }: Origin): string {
  return JSON.stringify([folder, generation, id]);
}
