// Bars on a terminal: one a folder in flight, one in sum, with percent, messages, bytes, rate and ETA. Events count, a timer draws.

import { MultiBar } from "cli-progress";
import { showPath } from "../mail/model.ts";
import type { MigrationEvent } from "../migrate/events.ts";
import { columnsOf } from "./tables.ts";
import { cut, padEnd, padStart } from "./text.ts";
import { showBytes, showCount } from "./values.ts";

export interface Bars extends Disposable {
  add(event: MigrationEvent): void;
  /** Takes them off the screen, for a question; the next event that is worth one brings them back. */
  clear(): void;
  /** Lines (each with its line end) above the bars. */
  readonly write: (text: string) => void;
}

/** Lines of the terminal that are left to what is said above the bars. */
const LINES_ABOVE = 4;
/** Folders drawn at once where the terminal does not say how high it is; the others are in the last bar alone. */
const FOLDER_BARS = 8;
const FRAMES_PER_SECOND = 8;
/** The rate is that of the last seconds: long enough to be calm, short enough to be true. */
const RATE_SECONDS = 8;

/** Something that is counted towards its end. */
export interface Meter {
  readonly name: string;
  total: number;
  done: number;
  /** Octets copied; undefined where none are. */
  bytes: number | undefined;
  /** Octets of all its messages, where the source says so, and of those that are settled, copied or not. */
  size: number | undefined;
  passed: number;
}

interface Sample {
  readonly at: number;
  readonly done: number;
  readonly bytes: number | undefined;
  readonly passed: number;
}

/** Deleting at the source: what was read back, what went, and what stays, which is neither. */
class Removal {
  readonly proofs: Meter;
  readonly deletions: Meter;
  #proved = 0;
  #stayed = 0;

  constructor(messages: number) {
    const none = { total: messages, done: 0, bytes: undefined, size: undefined, passed: 0 };
    this.proofs = { name: "read back", ...none };
    this.deletions = { name: "deleted", ...none };
  }

  add(type: "message-proved" | "message-removed" | "message-kept"): void {
    if (type === "message-proved") this.#proved++;
    else if (type === "message-removed") this.deletions.done++;
    else {
      this.#stayed++;
      this.deletions.total = Math.max(this.deletions.done, this.deletions.total - 1);
    }
    // After a fault some are read back once more.
    this.proofs.done = Math.min(this.proofs.total, this.#proved + this.#stayed);
  }
}

export function openBars(stream: NodeJS.WriteStream): Bars {
  const options = {
    stream,
    fps: FRAMES_PER_SECOND,
    hideCursor: true,
    // Bars are cut to the width here; wrapping stays on for the lines above them.
    linewrap: true,
    clearOnComplete: true,
    forceRedraw: true,
    gracefulExit: false,
    emptyOnZero: true,
  };
  const sum: Meter = { name: "in sum", total: 0, done: 0, bytes: 0, size: undefined, passed: 0 };
  const folders = new Map<string, Meter>();
  const rates = new Map<Meter, Sample[]>();
  let multi: MultiBar | undefined;
  let removal: Removal | undefined;
  let rows = 0;
  let stopped = false;

  const most = (): number => Math.max(1, (stream.rows || FOLDER_BARS + LINES_ABOVE + 2) - LINES_ABOVE - 2);
  const meterOf = (row: number): Meter | undefined => {
    // The last row is empty: there the terminal puts its "^C", and no bar is made longer than the terminal is wide.
    if (row === rows - 1) return undefined;
    if (removal !== undefined) return row === 0 ? removal.proofs : removal.deletions;
    return row === rows - 2 ? sum : [...folders.values()][row];
  };
  const draw = (row: number): string => {
    const meter = meterOf(row);
    if (meter === undefined) return "";
    return barLine(meter, rateOf(meter, rates, Date.now()), (columnsOf(stream) ?? 80) - 1);
  };
  /** So many bars, and the row below them. */
  const show = (count: number): void => {
    multi ??= new MultiBar(options);
    while (rows < count + 1) {
      const row = rows++;
      multi.create(1, 0, {}, { format: () => draw(row) });
    }
  };
  const clear = (): void => {
    // Lines that wait are written by a drawing alone.
    if (multi?.isActive === true) multi.update();
    multi?.stop();
    multi = undefined;
    rows = 0;
  };
  const stop = (): void => {
    if (stopped) return;
    stopped = true;
    process.off("exit", stop);
    clear();
  };
  // Whatever ends the process, the cursor comes back.
  process.once("exit", stop);

  return {
    add(event) {
      if (stopped) return;
      switch (event.type) {
        case "run-planned":
          sum.total = event.messages;
          sum.size = event.bytes;
          show(1);
          return;
        case "folder-opened": {
          const name = showPath(event.folder.path);
          const { messages = 0, bytes } = event.folder;
          folders.set(name, { name, total: messages, done: 0, bytes: 0, size: bytes, passed: 0 });
          show(Math.min(folders.size, most()) + 1);
          return;
        }
        case "message-settled": {
          const meter = folders.get(showPath(event.entry.origin.folder));
          for (const one of meter === undefined ? [sum] : [sum, meter]) {
            one.done++;
            one.bytes = (one.bytes ?? 0) + event.bytes;
            one.passed += event.entry.size ?? event.bytes;
          }
          return;
        }
        case "folder-unchanged":
          sum.done += event.messages;
          sum.passed += event.folder.bytes ?? 0;
          return;
        case "folder-finished": {
          const name = showPath(event.folder.path);
          const meter = folders.get(name);
          if (meter !== undefined) rates.delete(meter);
          folders.delete(name);
          return;
        }
        case "removal-begun":
          // Other bars than before, in rows of their own.
          clear();
          if (event.messages === 0) return;
          removal = new Removal(event.messages);
          show(2);
          return;
        case "message-proved":
        case "message-removed":
        case "message-kept":
          removal?.add(event.type);
          return;
        default:
          return;
      }
    },
    clear,
    write(text) {
      // Lines are written over bars that stood there: what is right of them goes.
      if (multi?.isActive === true) multi.log(text.replaceAll("\n", "\u001b[0K\n"));
      else stream.write(text);
    },
    [Symbol.dispose]: stop,
  };
}

function rateOf(meter: Meter, rates: Map<Meter, Sample[]>, now: number): Rate {
  let samples = rates.get(meter);
  if (samples === undefined) {
    samples = [];
    rates.set(meter, samples);
  }
  samples.push({ at: now, done: meter.done, bytes: meter.bytes, passed: meter.passed });
  while (samples.length > 2 && now - (samples[0]?.at ?? now) > RATE_SECONDS * 1000) samples.shift();
  const first = samples[0];
  const seconds = first === undefined ? 0 : (now - first.at) / 1000;
  if (first === undefined || seconds < 0.2) return { messages: 0, bytes: 0, passed: 0 };
  const a = (from = 0, to = 0): number => (to - from) / seconds;
  return {
    messages: a(first.done, meter.done),
    bytes: a(first.bytes, meter.bytes),
    passed: a(first.passed, meter.passed),
    seconds,
  };
}

/** Per second. */
export interface Rate {
  readonly messages: number;
  /** Octets copied. */
  readonly bytes: number;
  /** Octets settled, copied or not. */
  readonly passed: number;
  /** It was measured over so many. */
  readonly seconds?: number;
}

/** Of the first moments, in which folders are opened, no time left is told: it would be hours. */
const STEADY_SECONDS = 3;

const NAME = { least: 8, most: 40 } as const;
const BAR = { least: 8, most: 24 } as const;

/** One bar in so many columns. Where they are few the rates give way first, then the octets, the bar, and the count of messages. */
export function barLine(meter: Meter, rate: Rate, columns: number): string {
  const { total, done, bytes } = meter;
  const { share, seconds } = outlook(meter, rate);
  const count = total > 0 ? `${showCount(done)}/${showCount(Math.max(total, done))}` : showCount(done);
  const fixed = {
    percent: padStart(share === undefined ? "" : `${Math.floor(share * 100)}%`, 4),
    eta: `ETA ${padStart(seconds === undefined ? "-" : clock(seconds), 7)}`,
  };
  const optional = {
    count: padStart(count, 15),
    bytes: padStart(showBytes(bytes ?? 0), 8),
    octetRate: padStart(`${showBytes(rate.bytes)}/s`, 10),
    messageRate: padStart(`${showCount(rate.messages)}/s`, 8),
  };
  let room = columns - fixed.percent.length - fixed.eta.length - 2 - NAME.least;
  const takes = (width: number): boolean => {
    if (width > room) return false;
    room -= width;
    return true;
  };
  const fits = (text: string): string => (takes(text.length + 1) ? ` ${text}` : "");
  const shown = fits(optional.count);
  const hasBar = shown !== "" && takes(BAR.least + 3);
  const hasOctets = bytes !== undefined;
  const octets = hasBar && hasOctets ? fits(optional.bytes) : "";
  const octetRate = octets === "" ? "" : fits(optional.octetRate);
  const messageRate = octetRate === "" && (hasOctets || !hasBar) ? "" : fits(optional.messageRate);
  const more = hasBar ? Math.min(BAR.most - BAR.least, Math.floor(room / 2)) : 0;
  const name = Math.min(NAME.most, NAME.least + Math.max(0, room - more));
  const bar = BAR.least + more;
  const filled = Math.floor((share ?? 0) * bar);
  const drawn = hasBar ? ` [${"=".repeat(filled)}${" ".repeat(bar - filled)}]` : "";
  const line = `${padEnd(cut(meter.name, name), name)}${drawn} ${fixed.percent}${shown}${octets}${octetRate}${messageRate} ${fixed.eta}`;
  return cut(line, columns);
}

/** How far it is, and for how long it will go on: by octets where the source says how many there are, else by messages. */
function outlook(meter: Meter, rate: Rate): { share: number | undefined; seconds: number | undefined } {
  const { total, done, size, passed } = meter;
  const isMeasured = size !== undefined && size > 0 && done < total;
  const [whole, part, pace] = isMeasured ? [size, passed, rate.passed] : [total, done, rate.messages];
  if (whole <= 0) return { share: undefined, seconds: undefined };
  const left = whole - part;
  const isSteady = (rate.seconds ?? STEADY_SECONDS) >= STEADY_SECONDS;
  // Of a run that is not done never all of it.
  const share = done >= total ? 1 : Math.min(0.99, part / whole);
  return { share, seconds: left > 0 && pace > 0 && isSteady ? left / pace : undefined };
}

/** "0:45", "12:05", "3:07:00". */
function clock(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole >= 360_000) return "days";
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
