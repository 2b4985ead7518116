// Copies in a target folder that no record names, held compactly: about 40 octets each, and the text of the receipt.

import type { ContentKey } from "../mail/key.ts";
import { SYSTEM_FLAGS, type SystemFlag, type Traits } from "../mail/model.ts";
import type { Receipt } from "../sinks/sink.ts";

/** The sink did not read the message, so its Message-ID is not known. */
export const UNKNOWN_ID = 0;
/** The message has none. */
export const NO_ID = 1;

// Words of a row.
const SIZE = 0;
const ID = 1;
/** Flags (5 bits), whether it has a date, and the number of its keywords in the list of those that occur. */
const TRAITS = 2;
const DATE = 3;
const NEXT = 4;
const REF = 5;
const WORDS = 6;
const HAS_DATE = 1 << 5;
const KEYWORDS_SHIFT = 6;
const KEY_WORDS = 4;

/** Rows a segment, as a power of two. Segments are never copied, so growing has no peak. */
const SEGMENT_BITS = 11;
const SEGMENT = 1 << SEGMENT_BITS;
/** Octets of receipts a page. */
const PAGE = 1 << 16;

/** Rows are numbered in the order of the listing. Call `index` once, after the last `add` and before the first `of`. */
export class CopyTable {
  readonly #segments: Uint32Array[] = [];
  readonly #pages: Buffer[] = [];
  #end = 0;
  #count = 0;
  #heads = new Uint32Array(0);
  /** 128 bits of the key of those that are known, and whether they are. */
  readonly #keys: Uint32Array[] = [];
  #hasKey = new Uint8Array(0);
  readonly #keywords: ReadonlySet<string>[] = [new Set()];
  readonly #keywordIndex = new Map<string, number>([["", 0]]);
  #bySize: Uint32Array | undefined;
  #byDate: Uint32Array | undefined;

  get count(): number {
    return this.#count;
  }

  /** `id`: a hash of the Message-ID, or one of the two above. */
  add(receipt: Receipt, size: number, id: number, traits: Traits): number {
    const row = this.#count++;
    if (row >>> SEGMENT_BITS === this.#segments.length) this.#segments.push(new Uint32Array(SEGMENT * WORDS));
    const date = traits.received?.epochSeconds;
    const keywords = this.#internKeywords(traits.keywords);
    this.#set(row, SIZE, size);
    this.#set(row, ID, id);
    this.#set(row, TRAITS, bitsOf(traits.flags) | (date === undefined ? 0 : HAS_DATE) | (keywords << KEYWORDS_SHIFT));
    this.#set(row, DATE, date ?? 0);
    this.#set(row, REF, this.#write(receipt.ref));
    return row;
  }

  index(): void {
    this.#heads = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(this.#count, 16))));
    // From the last down, so that the first of several twins comes first.
    for (let row = this.#count - 1; row >= 0; row--) {
      const head = this.#head(this.#get(row, SIZE), this.#get(row, ID));
      this.#set(row, NEXT, this.#heads[head] ?? 0);
      this.#heads[head] = row + 1;
    }
  }

  /** The rows with this size and Message-ID that were not dropped. Others may drop rows while this goes on. */
  *of(size: number, id: number): Generator<number> {
    const wanted = size >>> 0;
    let next = 0;
    for (let row = (this.#heads[this.#head(wanted, id)] ?? 0) - 1; row >= 0; row = next) {
      next = this.#get(row, NEXT) - 1;
      if (this.#get(row, SIZE) === wanted && this.#get(row, ID) === id) yield row;
    }
  }

  /** Takes a row out of `of`: it is somebody's. */
  drop(row: number): void {
    const head = this.#head(this.#get(row, SIZE), this.#get(row, ID));
    const after = this.#get(row, NEXT);
    let before = (this.#heads[head] ?? 0) - 1;
    if (before === row) this.#heads[head] = after;
    else
      for (; before >= 0; before = this.#get(before, NEXT) - 1)
        if (this.#get(before, NEXT) === row + 1) {
          this.#set(before, NEXT, after);
          return;
        }
  }

  /** Every row with this received date (and Message-ID, where one is given), dropped or not, by Message-ID and in the order of the listing. */
  *ofDate(epochSeconds: number, id?: number): Generator<number> {
    this.#byDate ??= Uint32Array.from({ length: this.#count }, (_, row) => row).sort(
      (a, b) => this.#get(a, DATE) - this.#get(b, DATE) || this.#get(a, ID) - this.#get(b, ID) || a - b,
    );
    const rows = this.#byDate;
    const wanted = epochSeconds >>> 0;
    const isOf = (row: number): boolean =>
      this.#get(row, DATE) === wanted && (id === undefined || this.#get(row, ID) === id);
    const isBefore = (row: number): boolean => {
      const date = this.#get(row, DATE);
      return date < wanted || (date === wanted && id !== undefined && this.#get(row, ID) < id);
    };
    let at = 0;
    for (let high = rows.length; at < high; ) {
      const middle = (at + high) >>> 1;
      if (isBefore(rows[middle] ?? 0)) at = middle + 1;
      else high = middle;
    }
    for (let row = rows[at]; row !== undefined && isOf(row); row = rows[++at]) if (this.hasDate(row)) yield row;
  }

  /** Every row whose size is between two, from the nearest to `size` on. */
  *near(size: number, least: number, most: number): Generator<number> {
    this.#bySize ??= Uint32Array.from({ length: this.#count }, (_, row) => row).sort(
      (a, b) => this.#get(a, SIZE) - this.#get(b, SIZE) || a - b,
    );
    const rows = this.#bySize;
    const sizeAt = (at: number): number => this.#get(rows[at] ?? 0, SIZE);
    let above = 0;
    for (let high = rows.length; above < high; ) {
      const middle = (above + high) >>> 1;
      if (sizeAt(middle) < size) above = middle + 1;
      else high = middle;
    }
    let below = above - 1;
    for (;;) {
      const up = above < rows.length && sizeAt(above) <= most ? sizeAt(above) - size : Number.POSITIVE_INFINITY;
      const down = below >= 0 && sizeAt(below) >= least ? size - sizeAt(below) : Number.POSITIVE_INFINITY;
      if (up === Number.POSITIVE_INFINITY && down === Number.POSITIVE_INFINITY) return;
      yield rows[up <= down ? above++ : below--] ?? 0;
    }
  }

  size(row: number): number {
    return this.#get(row, SIZE);
  }

  receipt(row: number): Receipt {
    const at = this.#get(row, REF);
    const page = this.#pages[Math.floor(at / PAGE)];
    const start = at % PAGE;
    // A receipt longer than a page has a page of its own, which is longer.
    const length = page?.readUInt32LE(start) ?? 0;
    return { ref: page?.toString("utf8", start + 4, start + 4 + length) ?? "" };
  }

  traits(row: number): Traits {
    const bits = this.#get(row, TRAITS);
    const flags = new Set<SystemFlag>(SYSTEM_FLAGS.filter((_, bit) => (bits & (1 << bit)) !== 0));
    return { flags, keywords: this.#keywords[bits >>> KEYWORDS_SHIFT] ?? new Set(), labels: new Set() };
  }

  /** Whether it has these flags and keywords. */
  hasTraits(row: number, { flags, keywords }: Traits): boolean {
    const bits = this.#get(row, TRAITS);
    if ((bits & (HAS_DATE - 1)) !== bitsOf(flags)) return false;
    return bits >>> KEYWORDS_SHIFT === (this.#keywordIndex.get(folded(keywords)) ?? -1);
  }

  hasDate(row: number): boolean {
    return (this.#get(row, TRAITS) & HAS_DATE) !== 0;
  }

  /** The lower 32 bits of its received date; undefined where the store does not tell. */
  date(row: number): number | undefined {
    return this.hasDate(row) ? this.#get(row, DATE) : undefined;
  }

  /** Whether it was received at this second. */
  isOf(row: number, epochSeconds: number): boolean {
    return this.hasDate(row) && this.#get(row, DATE) === epochSeconds >>> 0;
  }

  setKey(row: number, key: ContentKey): void {
    const at = row >>> SEGMENT_BITS;
    const words = this.#keys[at] ?? new Uint32Array(SEGMENT * KEY_WORDS);
    this.#keys[at] = words;
    const start = (row & (SEGMENT - 1)) * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) words[start + i] = wordOf(key, i);
    if (row >= this.#hasKey.length) {
      const larger = new Uint8Array(Math.max(this.#count, row + 1, this.#hasKey.length * 2));
      larger.set(this.#hasKey);
      this.#hasKey = larger;
    }
    this.#hasKey[row] = 1;
  }

  /** Undefined when its key is not known yet. */
  hasKey(row: number, key: ContentKey): boolean | undefined {
    if (this.#hasKey[row] !== 1) return undefined;
    const words = this.#keys[row >>> SEGMENT_BITS];
    const start = (row & (SEGMENT - 1)) * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) if (words?.[start + i] !== wordOf(key, i)) return false;
    return true;
  }

  #internKeywords(keywords: ReadonlySet<string>): number {
    if (keywords.size === 0) return 0;
    const text = folded(keywords);
    let index = this.#keywordIndex.get(text);
    if (index === undefined) {
      index = this.#keywords.push(keywords) - 1;
      this.#keywordIndex.set(text, index);
    }
    return index;
  }

  #write(ref: string): number {
    const length = Buffer.byteLength(ref);
    const start = this.#end % PAGE;
    if (this.#pages.length === 0 || start === 0 || start + 4 + length > PAGE) {
      this.#end = this.#pages.length * PAGE;
      this.#pages.push(Buffer.alloc(Math.max(PAGE, length + 4)));
    }
    const page = this.#pages[this.#pages.length - 1];
    const at = this.#end;
    page?.writeUInt32LE(length, at % PAGE);
    page?.write(ref, (at % PAGE) + 4, "utf8");
    // After a page that is longer than others, a new one.
    this.#end = Math.min(at + 4 + length, this.#pages.length * PAGE);
    return at;
  }

  #head(size: number, id: number): number {
    return (Math.imul(size, 0x9e3779b1) ^ Math.imul(id, 0x85ebca6b)) & (this.#heads.length - 1);
  }

  #get(row: number, word: number): number {
    return this.#segments[row >>> SEGMENT_BITS]?.[(row & (SEGMENT - 1)) * WORDS + word] ?? 0;
  }

  #set(row: number, word: number, value: number): void {
    const segment = this.#segments[row >>> SEGMENT_BITS];
    if (segment !== undefined) segment[(row & (SEGMENT - 1)) * WORDS + word] = value;
  }
}

function bitsOf(flags: ReadonlySet<SystemFlag>): number {
  return SYSTEM_FLAGS.reduce((bits, flag, bit) => (flags.has(flag) ? bits | (1 << bit) : bits), 0);
}

function folded(keywords: ReadonlySet<string>): string {
  if (keywords.size === 0) return "";
  return [...keywords]
    .map((word) => word.toLowerCase())
    .sort()
    .join(" ");
}

function wordOf(key: string, word: number): number {
  return Number.parseInt(key.slice(word * 8, word * 8 + 8), 16);
}
