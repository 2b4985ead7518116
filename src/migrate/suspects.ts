// Messages at which a connection ended, or that were put off: whether it is the message, or the server that is gone (decision 0018).

import type { MailError, Suspect } from "../mail/errors.ts";
import type { Origin } from "../mail/model.ts";

export type Side = "source" | "target";
/** It ended the connection (or nothing more was heard), or it was refused in words that say "later". */
export type How = "death" | "refusal";

/** Ends at one message until it is taken for the reason. */
const STRIKES = 3;
/** Of several that were under way when a connection ended, those that were so twice are each tried alone. */
const COMPANY = 2;

type Counts = Readonly<Record<Side, number>>;

interface Mark {
  strikes: number;
  /** Ends that it was under way at, and others too. */
  company: number;
  /** It is left for last, and tried with nothing else on its way. */
  apart: boolean;
  /** What had got through when the pass began that followed the one in which it was first met. */
  since: { readonly here: Counts; readonly anywhere: Counts } | undefined;
  /** Which end it was last suspected at. */
  side: Side | undefined;
  /** Another one was taken right after it was refused. */
  contrast: boolean;
  /** An earlier run found it to be the reason. */
  proven: boolean;
  /** It is the reason; looked for once more, and not sent. */
  condemned: MailError | undefined;
  /** It failed in this run, and is left to the next one. */
  failed: boolean;
}

/** What got through in a run, over all folders. */
export class Course {
  /** Folders that came to the end of a pass. */
  folders = 0;
  /** Nothing has got through since a folder was given up with all patience: nobody else is to spend as much. */
  isDoubtful = false;
  /** Messages that came with fewer octets than were announced. */
  short = 0;
  /** A source is asked what messages are called that it did not give. */
  describes = true;

  readonly through: Record<Side, number> = { source: 0, target: 0 };
  /** Messages struck since the last one got through. */
  readonly struck: Record<Side, Set<string>> = { source: new Set(), target: new Set() };

  /** Grows with everything that shows that both ends are there. */
  get life(): number {
    return this.folders + this.through.target;
  }
}

/** The suspects of one target folder, over all passes of a run. */
export class Suspects {
  readonly #course: Course;
  readonly #marks = new Map<string, Mark>();
  readonly #through: Record<Side, number> = { source: 0, target: 0 };
  /** Refused since the last one was taken. */
  readonly #refused: Record<Side, Set<Mark>> = { source: new Set(), target: new Set() };
  readonly #noted = new WeakSet<MailError>();
  /** No other pass follows if this one fails: what could only be decided by waiting is decided now. */
  isLastTry = false;
  /** Struck in this pass: what was sent may only now be stored, and is looked for first. */
  readonly #justStruck = new Set<Mark>();
  condemned = 0;

  constructor(course: Course) {
    this.#course = course;
  }

  get isEmpty(): boolean {
    return this.#marks.size === 0;
  }

  /** How many are to be tried by themselves. */
  get apart(): number {
    let count = 0;
    for (const mark of this.#marks.values()) if (this.#isDue(mark)) count++;
    return count;
  }

  through(side: Side): number {
    return this.#through[side];
  }

  isApart(origin: Suspect): boolean {
    const mark = this.#marks.get(keyOf(origin));
    return mark?.apart === true && !mark.failed;
  }

  /** Whether it is to be tried in this pass, once everything else has come. */
  isDue(origin: Suspect): boolean {
    const mark = this.#marks.get(keyOf(origin));
    return mark !== undefined && this.#isDue(mark);
  }

  #isDue(mark: Mark): boolean {
    return mark.apart && !mark.failed && !this.#justStruck.has(mark);
  }

  isFailed(origin: Suspect): boolean {
    return this.#marks.get(keyOf(origin))?.failed === true;
  }

  strikesOf(origin: Suspect): number {
    return this.#marks.get(keyOf(origin))?.strikes ?? 0;
  }

  /** Why it is not to be sent any more. */
  verdict(origin: Suspect): MailError | undefined {
    return this.#marks.size === 0 ? undefined : this.#marks.get(keyOf(origin))?.condemned;
  }

  /** A message came from the source, or was stored in the target. */
  got(side: Side, origin: Origin): void {
    this.#through[side]++;
    this.#course.through[side]++;
    if (this.#course.struck[side].size > 0) this.#course.struck[side].clear();
    if (side === "target") this.#course.isDoubtful = false;
    if (this.#marks.size === 0) return;
    const refused = this.#refused[side];
    for (const mark of refused) mark.contrast = true;
    refused.clear();
    const key = keyOf(origin);
    // What the source gives may still be what the target cannot take.
    if (side === "target" || this.#marks.get(key)?.side === "source") this.#marks.delete(key);
  }

  /** Its copy was found, or nothing is wanted of it any more. */
  clear(origin: Suspect): void {
    if (this.#marks.size > 0) this.#marks.delete(keyOf(origin));
  }

  /** A new pass begins: what gets through from here on got through after what is known by now. */
  beginPass(): void {
    this.#justStruck.clear();
    for (const mark of this.#marks.values())
      mark.since ??= { here: { ...this.#through }, anywhere: { ...this.#course.through } };
  }

  /** A connection ended while these were under way, among others. */
  noted(error: MailError, side: Side): void {
    const { suspects = [], waitMs } = error.details;
    // Who says for how long he wants to be left alone does not speak of a message.
    if (waitMs !== undefined || this.#noted.has(error)) return;
    this.#noted.add(error);
    for (const [at, origin] of suspects.entries()) {
      const mark = this.#mark(origin);
      mark.side = side;
      mark.company++;
      if (suspects.length === 1) mark.strikes = Math.min(mark.strikes + 1, STRIKES - 1);
      if (at === 0 || mark.company >= COMPANY) mark.apart = true;
    }
  }

  /** An earlier run gave up this one for the same reason: once more is enough. */
  remember(origin: Suspect): void {
    const mark = this.#mark(origin);
    mark.apart = true;
    mark.proven = true;
    mark.strikes = Math.max(mark.strikes, STRIKES - 1);
  }

  /**
   * One message was tried, and this came of it. True when it is the reason. `certain`: nothing else can have been the reason, such as
   * the number of those before it. `open`: messages of this folder that are not settled.
   */
  strike(origin: Suspect, side: Side, how: How, certain: boolean, open: number): boolean {
    const mark = this.#mark(origin);
    mark.apart = true;
    mark.side = side;
    this.#justStruck.add(mark);
    mark.strikes = certain ? mark.strikes + 1 : Math.min(mark.strikes + 1, STRIKES - 1);
    const struck = this.#course.struck[side].add(keyOf(origin));
    if (how === "refusal") this.#refused[side].add(mark);
    if (mark.strikes < STRIKES) return false;
    if (mark.proven) return true;
    const { here = this.#through, anywhere = this.#course.through } = mark.since ?? {};
    const hasOthers =
      this.#through[side] > here[side] || (this.#isAllStruck(open) && this.#course.through[side] > anywhere[side]);
    if (how === "death" && hasOthers) return true;
    if (how === "refusal" && mark.contrast) return true;
    // Nothing was decided by waiting: all others went their way, or there is no other.
    return this.isLastTry && (hasOthers || (open === 1 && struck.size === 1));
  }

  condemn(origin: Suspect, error: MailError): void {
    this.condemned++;
    this.#mark(origin).condemned = error;
  }

  failed(origin: Suspect): void {
    const mark = this.#mark(origin);
    mark.failed = true;
    for (const side of ["source", "target"] as const) {
      this.#refused[side].delete(mark);
      this.#course.struck[side].delete(keyOf(origin));
    }
  }

  /** All that is left are messages of which each was struck as often as any other. */
  #isAllStruck(open: number): boolean {
    let struck = 0;
    for (const { strikes, failed } of this.#marks.values()) if (!failed && strikes >= STRIKES) struck++;
    return struck >= open;
  }

  #mark(origin: Suspect): Mark {
    const key = keyOf(origin);
    let mark = this.#marks.get(key);
    if (mark === undefined) {
      mark = {
        strikes: 0,
        company: 0,
        apart: false,
        since: undefined,
        side: undefined,
        contrast: false,
        proven: false,
        condemned: undefined,
        failed: false,
      };
      this.#marks.set(key, mark);
    }
    return mark;
  }
}

function keyOf({ folder, generation, id }: Suspect): string {
  return JSON.stringify([folder, generation, id]);
}
