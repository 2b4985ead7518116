// Reading a large file by offset through one buffer that moves along with the reader.

/** A file, or anything else with a size and octets at offsets. */
export interface RandomAccess {
  /** Octets; what comes behind them is not read. */
  readonly size: number;
  /** Reads up to target.length octets from `position`; fewer only at the end. Returns how many. Throws MailError. */
  read(target: Buffer, position: number): Promise<number>;
}

/** The file became shorter while it was being read. */
export class Shortened extends Error {
  override readonly name = "Shortened";
}

/** Octets that a look-up asks for when `peek` has not got them; answered with what `view` gives for the same arguments. */
export interface Wanted {
  readonly position: number;
  readonly length: number;
  readonly keep: number;
}

/** A look-up that needs no promise while the octets are in the window; written like one that does, with `yield` for `await`. */
export type Lookup<T> = Generator<Wanted, T, Buffer>;

export interface Window {
  readonly size: number;
  /** The most octets that may be asked for at once. */
  readonly capacity: number;
  /**
   * The octets from `position` on, at least `length` of them (fewer only at the end of the file), for look-up: they are valid
   * until the next call. When the file must be read for it, it is read from `keep` on (at most `position`), unless that lies so
   * far back that little new would be gained.
   */
  view(position: number, length: number, keep?: number): Promise<Buffer>;
  /** As view, when the octets are there already. */
  peek(position: number, length: number): Buffer | undefined;
  /** Runs a look-up to its end: at once when all it asks for is in the window, else after reading. */
  run<T>(lookup: Lookup<T>): T | Promise<T>;
  /** The octets of a range in buffers of their own, without moving the window. Throws Shortened. */
  copy(start: number, end: number): AsyncGenerator<Buffer>;
}

/** One piece of a content; large enough that the calls do not count. */
const PIECE = 256 * 1024;

/**
 * A window of `capacity` octets; `view` may ask for that many at most. Not for use by two readers at once. Once a reader goes
 * on from one window to the next, the octets behind are read ahead while it works: twice the memory, and no wait.
 */
export function openWindow(file: RandomAccess, capacity: number): Window {
  const { size } = file;
  /** Octets of a window that may be taken along into the next one. */
  const margin = Math.floor(capacity / 4);
  let buffer: Buffer = Buffer.allocUnsafe(margin + capacity);
  let spare: Buffer | undefined;
  /** What is read ahead into the spare buffer, behind its margin. */
  let ahead: { readonly at: number; readonly length: number; readonly done: Promise<void> } | undefined;
  /** The octets [start, start + held) of the file lie in the buffer from `origin` on. */
  let origin = 0;
  let start = 0;
  let held = 0;

  async function fill(target: Buffer, position: number): Promise<void> {
    for (let done = 0; done < target.length; ) {
      const read = await file.read(target.subarray(done), position + done);
      if (read === 0) throw new Shortened("the file became shorter while it was read");
      done += read;
    }
  }

  function peek(position: number, length: number): Buffer | undefined {
    const end = Math.min(size, position + length);
    if (position < start || end > start + held) return undefined;
    return buffer.subarray(origin + position - start, origin + held);
  }

  /** Takes what was read ahead, if it reaches from `from` to `end`. What failed is read again, to fail where it is needed. */
  async function advance(from: number, end: number): Promise<boolean> {
    const read = ahead;
    ahead = undefined;
    if (read === undefined || spare === undefined) return false;
    const isRead = await read.done.then(
      () => true,
      () => false,
    );
    const tail = read.at - from;
    if (!isRead || tail < 0 || tail > margin || from < start || end > read.at + read.length) return false;
    buffer.copy(spare, margin - tail, origin + from - start, origin + held);
    [buffer, spare] = [spare, buffer];
    origin = margin - tail;
    start = from;
    held = tail + read.length;
    return true;
  }

  function readAhead(): void {
    const at = start + held;
    const length = Math.min(capacity, size - at);
    if (length <= 0) return;
    spare ??= Buffer.allocUnsafe(margin + capacity);
    const done = fill(spare.subarray(margin, margin + length), at);
    // Nobody may ever come for it.
    done.catch(() => undefined);
    ahead = { at, length, done };
  }

  async function view(position: number, length: number, keep = position): Promise<Buffer> {
    const there = peek(position, length);
    if (there !== undefined) return there;
    // Who looks at the line end before a message looks before what he keeps.
    const back = Math.max(0, position - keep);
    const from = back <= capacity / 4 && back + length <= capacity ? position - back : position;
    const goesOn = held > 0 && from > start && from <= start + held;
    if (!(await advance(from, Math.min(size, position + length)))) {
      held = 0;
      origin = 0;
      start = from;
      const wanted = Math.max(0, Math.min(capacity, size - from));
      await fill(buffer.subarray(0, wanted), from);
      held = wanted;
    }
    if (goesOn) readAhead();
    return buffer.subarray(origin + position - start, origin + held);
  }

  function run<T>(lookup: Lookup<T>): T | Promise<T> {
    const step = lookup.next();
    return step.done === true ? step.value : more(lookup, step.value);
  }

  async function more<T>(lookup: Lookup<T>, first: Wanted): Promise<T> {
    for (let wanted = first; ; ) {
      const step = lookup.next(await view(wanted.position, wanted.length, wanted.keep));
      if (step.done === true) return step.value;
      wanted = step.value;
    }
  }

  async function* copy(from: number, end: number): AsyncGenerator<Buffer> {
    for (let at = from; at < end; ) {
      const length = Math.min(PIECE, end - at);
      const piece = Buffer.allocUnsafe(length);
      const there = peek(at, length);
      if (there === undefined) await fill(piece, at);
      else there.copy(piece, 0, 0, length);
      at += length;
      yield piece;
    }
  }

  return { size, capacity, view, peek, run, copy };
}
