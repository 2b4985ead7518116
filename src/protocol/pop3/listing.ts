// What a maildrop holds: sizes and unique ids by message number, packed, so that a million messages take little memory.

import { randomInt } from "node:crypto";
import { MESSAGE_LIMIT, UIDL_OCTETS_LIMIT } from "./limits.ts";

/** Octets kept together; more than any id has. */
const BLOCK = 1 << 16;
const FIRST_ROOM = 256;
const NONE = 0;
/** Stands for the ids of a message that the server calls two ways. */
const DISPUTED = 0xffff_ffff;

/** Texts of one octet a character, each kept once; an index (from 1) stands for each. Comparisons are exact. */
export class IdTable {
  #blocks: Buffer[] = [];
  #used = BLOCK;
  #octets = 0;
  /** Where text i lies: block number times BLOCK plus offset, and how long it is. */
  #starts = new Float64Array(FIRST_ROOM);
  #lengths = new Uint32Array(FIRST_ROOM);
  /** Open addressing, a power of two of slots, never more than half full. */
  #slots = new Uint32Array(2 * FIRST_ROOM);
  #size = 0;
  /** A server that knew it could choose UIDLs that all collide. */
  readonly #seed = randomInt(2 ** 31);

  /** Texts held. */
  get size(): number {
    return this.#size;
  }

  /** The index of this text, or 0. */
  find(text: string): number {
    return this.#slots[this.#slot(Buffer.from(text, "latin1"))] ?? NONE;
  }

  /** The index of this text, which is kept from now on. Throws RangeError for more octets than a maildrop can have. */
  add(text: string): number {
    const octets = Buffer.from(text, "latin1");
    const slot = this.#slot(octets);
    const known = this.#slots[slot] ?? NONE;
    if (known !== NONE) return known;
    this.#octets += octets.length;
    if (this.#octets > UIDL_OCTETS_LIMIT || octets.length > BLOCK) throw new RangeError("too many octets of ids");
    if (this.#used + octets.length > BLOCK) {
      this.#blocks.push(Buffer.allocUnsafe(BLOCK));
      this.#used = 0;
    }
    const index = ++this.#size;
    if (index >= this.#starts.length) {
      this.#starts = grown(this.#starts, new Float64Array(2 * index));
      this.#lengths = grown(this.#lengths, new Uint32Array(2 * index));
    }
    this.#blocks.at(-1)?.set(octets, this.#used);
    this.#starts[index] = (this.#blocks.length - 1) * BLOCK + this.#used;
    this.#lengths[index] = octets.length;
    this.#used += octets.length;
    this.#slots[slot] = index;
    if (2 * this.#size > this.#slots.length) this.#rehash();
    return index;
  }

  /** The text with this index. */
  get(index: number): string {
    return this.#octetsOf(index).toString("latin1");
  }

  #octetsOf(index: number): Buffer {
    const start = this.#starts[index] ?? 0;
    const offset = start % BLOCK;
    const block = this.#blocks[(start - offset) / BLOCK] ?? Buffer.alloc(0);
    return block.subarray(offset, offset + (this.#lengths[index] ?? 0));
  }

  #slot(octets: Buffer): number {
    const mask = this.#slots.length - 1;
    let slot = hash(octets, this.#seed) & mask;
    for (;;) {
      const index = this.#slots[slot] ?? NONE;
      if (index === NONE || this.#octetsOf(index).equals(octets)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #rehash(): void {
    const slots = new Uint32Array(2 * this.#slots.length);
    const mask = slots.length - 1;
    for (let index = 1; index <= this.#size; index++) {
      let slot = hash(this.#octetsOf(index), this.#seed) & mask;
      while (slots[slot] !== NONE) slot = (slot + 1) & mask;
      slots[slot] = index;
    }
    this.#slots = slots;
  }
}

/** FNV-1a with a seed, and a last mix so that the low bits depend on all. */
function hash(octets: Buffer, seed: number): number {
  let value = 0x811c9dc5 ^ seed;
  for (let i = 0; i < octets.length; i++) value = Math.imul(value ^ (octets[i] ?? 0), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x7feb352d);
  return (value ^ (value >>> 15)) >>> 0;
}

function grown<T extends Float64Array | Uint32Array | Uint8Array>(old: T, bigger: T): T {
  bigger.set(old);
  return bigger;
}

const LISTED = 1;
const CHOSEN = 2;

/** Rows come in any order from LIST and UIDL; numbers are the server's, from 1, and may have gaps. */
export class Listing {
  readonly #ids = new IdTable();
  #flags = new Uint8Array(FIRST_ROOM);
  /** Octets plus one; 0 where LIST told none. */
  #sizes = new Float64Array(FIRST_ROOM);
  #idOf = new Uint32Array(FIRST_ROOM);
  /** By id: how many messages have it. */
  #holders = new Uint32Array(FIRST_ROOM);
  #highest = 0;
  #count = 0;

  /** Messages listed. */
  get count(): number {
    return this.#count;
  }

  /** False for a number that no maildrop can have. */
  addSize(number: number, size: number): boolean {
    if (!this.#meet(number)) return false;
    this.#sizes[number] = size + 1;
    return true;
  }

  /**
   * False for a number that no maildrop can have. Undefined: the server has none for it. One that is told again with another id
   * has none from then on, and neither id is anybody else's.
   */
  addId(number: number, id: string | undefined): boolean {
    if (!this.#meet(number)) return false;
    if (id === undefined) return true;
    const index = this.#ids.add(id);
    const before = this.#idOf[number] ?? NONE;
    if (before === index) return true;
    if (index >= this.#holders.length) this.#holders = grown(this.#holders, new Uint32Array(2 * index));
    this.#idOf[number] = before === NONE ? index : DISPUTED;
    this.#holders[index] = (this.#holders[index] ?? 0) + 1;
    return true;
  }

  /** Octets as LIST told them. */
  size(number: number): number | undefined {
    const size = this.#sizes[number] ?? 0;
    return size === 0 ? undefined : size - 1;
  }

  /** The id of this message, when no other message has it too. */
  uniqueId(number: number): string | undefined {
    const index = this.#idOf[number] ?? NONE;
    return index === NONE || index === DISPUTED || this.#holders[index] !== 1 ? undefined : this.#ids.get(index);
  }

  /** Whether a message is called so. */
  holds(id: string): boolean {
    return this.#ids.find(id) !== NONE;
  }

  choose(number: number): void {
    this.#flags[number] = LISTED | CHOSEN;
  }

  unchoose(number: number): void {
    this.#flags[number] = LISTED;
  }

  isChosen(number: number): boolean {
    return this.#flags[number] === (LISTED | CHOSEN);
  }

  /** Every number listed, in order. */
  numbers(): Generator<number> {
    return this.#having(LISTED);
  }

  /** Every number chosen, in order. */
  chosen(): Generator<number> {
    return this.#having(CHOSEN);
  }

  *#having(flag: number): Generator<number> {
    for (let number = 1; number <= this.#highest; number++) if (((this.#flags[number] ?? 0) & flag) !== 0) yield number;
  }

  #meet(number: number): boolean {
    if (!Number.isSafeInteger(number) || number < 1 || number > MESSAGE_LIMIT) return false;
    if (number >= this.#flags.length) {
      const room = Math.min(2 * number, MESSAGE_LIMIT + 1);
      this.#flags = grown(this.#flags, new Uint8Array(room));
      this.#sizes = grown(this.#sizes, new Float64Array(room));
      this.#idOf = grown(this.#idOf, new Uint32Array(room));
    }
    if (this.#flags[number] === 0) {
      this.#flags[number] = LISTED;
      this.#count++;
    }
    this.#highest = Math.max(this.#highest, number);
    return true;
  }
}
