// A multimap from names to numbers in typed arrays: 16 octets a slot, no object an entry.

/** 52 bits; never 0. Two lanes of FNV-1a with a final stir. Callers check what they find against the name itself. */
export function nameHash(name: string): number {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x5bd1e995) ^ (b >>> 15);
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b);
  b = Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  return ((b ^ (b >>> 16)) & 0xfffff) * 0x1_0000_0000 + ((a ^ (a >>> 15)) >>> 0) || 1;
}

export interface CompactIndex {
  readonly size: number;
  /** Adds a value; others under the same name stay. */
  add(name: string, value: number): void;
  /** Replaces the last value of this name, or adds it. */
  set(name: string, value: number): void;
  /** Every value under this name (and, very seldom, one of another name that has its hash), newest last. */
  find(name: string): readonly number[];
}

const NONE: readonly number[] = [];

export function compactIndex(): CompactIndex {
  let capacity = 64;
  let keys = new Float64Array(capacity);
  let values = new Float64Array(capacity);
  let size = 0;

  const put = (key: number, value: number): void => {
    let at = key % capacity;
    while (keys[at] !== 0) at = (at + 1) % capacity;
    keys[at] = key;
    values[at] = value;
  };
  const grow = (): void => {
    const [oldKeys, oldValues] = [keys, values];
    capacity *= 2;
    keys = new Float64Array(capacity);
    values = new Float64Array(capacity);
    // Starts behind a gap, so that a run that wraps round the end keeps its order: newest last.
    const start = oldKeys.indexOf(0) + 1;
    for (let i = 0; i < oldKeys.length; i++) {
      const at = (start + i) % oldKeys.length;
      const key = oldKeys[at] ?? 0;
      if (key !== 0) put(key, oldValues[at] ?? 0);
    }
  };
  const add = (name: string, value: number): void => {
    if ((size + 1) * 3 > capacity * 2) grow();
    put(nameHash(name), value);
    size++;
  };
  return {
    get size() {
      return size;
    },
    add,
    set(name, value) {
      const key = nameHash(name);
      let last = -1;
      for (let at = key % capacity; keys[at] !== 0; at = (at + 1) % capacity) if (keys[at] === key) last = at;
      if (last === -1) add(name, value);
      else values[last] = value;
    },
    find(name) {
      const key = nameHash(name);
      let found: number[] | undefined;
      for (let at = key % capacity; keys[at] !== 0; at = (at + 1) % capacity)
        if (keys[at] === key) {
          found ??= [];
          found.push(values[at] ?? 0);
        }
      return found ?? NONE;
    },
  };
}
