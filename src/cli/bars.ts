// Bars on a terminal: one a folder in flight, one in sum, with messages, bytes, rate and ETA. Events count, a timer draws.

import { MultiBar } from "cli-progress";
import { showPath } from "../mail/model.ts";
import type { MigrationEvent } from "../migrate/events.ts";
import { cut, padEnd, padStart } from "./text.ts";
import { showBytes, showCount } from "./values.ts";

export interface Bars extends Disposable {
  add(event: MigrationEvent): void;
  /** Lines (each with its line end) above the bars. */
  readonly write: (text: string) => void;
}

/** Folders drawn at once; more than this many lanes are summed up in the last bar alone. */
const FOLDER_BARS = 8;
const FRAMES_PER_SECOND = 8;
/** The rate is that of the last seconds: long enough to be calm, short enough to be true. */
const RATE_SECONDS = 8;

/** Something that is counted towards its end. */
export interface Meter {
  readonly name: string;
  total: number;
  done: number;
  bytes: number;
}

interface Sample {
  readonly at: number;
  readonly done: number;
  readonly bytes: number;
}

export function openBars(stream: NodeJS.WriteStream): Bars {
  const multi = new MultiBar({
    stream,
    fps: FRAMES_PER_SECOND,
    hideCursor: true,
    // Lines are cut to the width here; wrapping stays on for the lines above the bars.
    linewrap: null,
    clearOnComplete: true,
    forceRedraw: true,
    gracefulExit: false,
    emptyOnZero: true,
  });
  const sum: Meter = { name: "in sum", total: 0, done: 0, bytes: 0 };
  const folders = new Map<string, Meter>();
  const rates = new Map<Meter, Sample[]>();
  let rows = 0;
  let stopped = false;

  const draw = (row: number): string => {
    const meter = row === rows - 1 ? sum : [...folders.values()][row];
    if (meter === undefined) return "";
    return barLine(meter, rateOf(meter, rates, Date.now()), (stream.columns ?? 80) - 1);
  };
  const addRow = (): void => {
    const row = rows++;
    multi.create(1, 0, {}, { format: () => draw(row) });
  };
  const stop = (): void => {
    if (stopped) return;
    stopped = true;
    process.off("exit", stop);
    if (!multi.isActive) return;
    // Lines that wait are written by a drawing alone.
    multi.update();
    multi.stop();
  };
  // Whatever ends the process, the cursor comes back.
  process.once("exit", stop);

  return {
    add(event) {
      if (stopped) return;
      switch (event.type) {
        case "run-planned":
          sum.total = event.messages;
          if (rows === 0) addRow();
          return;
        case "folder-opened": {
          const name = showPath(event.folder.path);
          folders.set(name, { name, total: event.folder.messages ?? 0, done: 0, bytes: 0 });
          while (rows < Math.min(folders.size, FOLDER_BARS) + 1) addRow();
          return;
        }
        case "message-settled": {
          const meter = folders.get(showPath(event.entry.origin.folder));
          for (const one of meter === undefined ? [sum] : [sum, meter]) {
            one.done++;
            one.bytes += event.bytes;
          }
          return;
        }
        case "folder-unchanged":
          sum.done += event.messages;
          return;
        case "folder-finished": {
          const name = showPath(event.folder.path);
          const meter = folders.get(name);
          if (meter !== undefined) rates.delete(meter);
          folders.delete(name);
          return;
        }
        default:
          return;
      }
    },
    write(text) {
      // Lines are written over bars that stood there: what is right of them goes.
      if (multi.isActive) multi.log(text.replaceAll("\n", "\u001b[0K\n"));
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
  samples.push({ at: now, done: meter.done, bytes: meter.bytes });
  while (samples.length > 2 && now - (samples[0]?.at ?? now) > RATE_SECONDS * 1000) samples.shift();
  const first = samples[0];
  const seconds = first === undefined ? 0 : (now - first.at) / 1000;
  if (first === undefined || seconds < 0.2) return { messages: 0, bytes: 0 };
  return { messages: (meter.done - first.done) / seconds, bytes: (meter.bytes - first.bytes) / seconds };
}

/** Per second. */
export interface Rate {
  readonly messages: number;
  readonly bytes: number;
}

/** One bar in so many columns: the name gives way first, then the bar itself. */
export function barLine(meter: Meter, rate: Rate, columns: number): string {
  const { total, done, bytes } = meter;
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const count = total > 0 ? `${showCount(done)}/${showCount(Math.max(total, done))}` : showCount(done);
  const left = total > done && rate.messages > 0 ? clock((total - done) / rate.messages) : "-";
  const numbers = [
    padStart(count, 15),
    padStart(showBytes(bytes), 8),
    padStart(`${showCount(rate.messages)}/s`, 8),
    padStart(`${showBytes(rate.bytes)}/s`, 10),
    `ETA ${padStart(left, 8)}`,
  ].join(" ");
  const room = columns - numbers.length - 2;
  const bar = room >= 32 ? Math.min(24, Math.floor(room / 2)) : 0;
  const name = Math.max(4, Math.min(40, room - (bar > 0 ? bar + 3 : 0)));
  const filled = Math.round(share * bar);
  const drawn = bar > 0 ? ` [${"=".repeat(filled)}${" ".repeat(bar - filled)}]` : "";
  return cut(`${padEnd(cut(meter.name, name), name)}${drawn} ${numbers}`, columns);
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
