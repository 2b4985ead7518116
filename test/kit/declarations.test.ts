// Declarations are found by name in formatted source: whatever their kind, with exactly their own text, and never a guess.

import { expect, it } from "vitest";
import { declarationOf, declarationsIn } from "./declarations.ts";

const SOURCE = `import { other } from "./other.ts";

export interface Shape {
  readonly close: (now: boolean) => void;
  find(name: string): number;
}

export type Kind =
  | "one"
  | "two";

/** A sentence. */
export const LIMIT = 1 << 20;
const NAMES = [
  "a", // ({[
  "b",
] as const;

const RULE =
  /[{(]"/;

export function parse(text: string): string;
export function parse(text: number): number;
export function parse(text: string | number): string | number {
  if (text === "") {
    return "empty";
  } else if (text === "x") {
    return "x";
  }
  call(text, (one) => {
    other(one);
  });
  return text;
}

export async function* pages<T>(
  from: AsyncIterable<T>,
  { size = 1 }: { size?: number } = {},
): AsyncGenerator<T> {
  const held = (await other((one) => one)).length;
  const flush = async (): Promise<void> => {
    await other(held);
  };
  const short = (one: number): number => one + size;
  const typed: (one: number) => number = short;
  const identity: (one: number) => number = (one) => one;
  function inner(): void {
    function innermost(): void {
      flush();
    }
    innermost();
  }
  yield* from;
}

const double = (one: number): number => one * 2;

class First {
  readonly #size = 3;
  readonly #limit: number;
  static count = 0;
  onEnd?: () => void;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  get both(): number {
    return 1;
  }

  set both(value: number) {
    this.#set(value);
  }

  close(): void {
    this.#drop("first");
  }

  #drop(what: string): void {
    other(what);
  }

  static async *lines(
    one: (a: number) => void,
  ): AsyncGenerator<string> {
    yield "line";
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export default class Second<T> extends First implements Shape {
  close(): void {
    super.close();
  }

  parse(text: T): T;
  parse(text: string): string {
    return text;
  }
}

export function openThing(): Thing {
  let state = 0;
  return {
    name: "thing",
    list() {
      return state;
    },
    async *messages(signal) {
      yield signal;
    },
    find: async (name) => {
      state = name;
    },
    short: () => state,
    nothing() {},
    get seen() {
      return state > 0;
    },
    [Symbol.asyncDispose]: async () => {
      state = -1;
    },
  };
}

other(LIMIT);
`;

const textOf = (name: string): string => {
  const { start, end } = declarationOf(SOURCE, name);
  return SOURCE.slice(start, end);
};

it("everything that has a name is found, under the names around it, and nothing else", () => {
  expect(declarationsIn(SOURCE).map(({ path }) => path)).toEqual([
    "Shape",
    "Kind",
    "LIMIT",
    "NAMES",
    "RULE",
    "parse",
    "pages",
    "pages.flush",
    "pages.short",
    "pages.identity",
    "pages.inner",
    "pages.inner.innermost",
    "double",
    "First",
    "First.#size",
    "First.#limit",
    "First.count",
    "First.onEnd",
    "First.constructor",
    "First.size",
    "First.both",
    "First.both",
    "First.close",
    "First.#drop",
    "First.lines",
    "First.[Symbol.dispose]",
    "Second",
    "Second.close",
    "Second.parse",
    "openThing",
    "openThing.list",
    "openThing.messages",
    "openThing.find",
    "openThing.short",
    "openThing.nothing",
    "openThing.seen",
    "openThing.[Symbol.asyncDispose]",
  ]);
});

it.each([
  ["Kind", 'export type Kind =\n  | "one"\n  | "two";'],
  ["LIMIT", "export const LIMIT = 1 << 20;"],
  ["NAMES", 'const NAMES = [\n  "a", // ({[\n  "b",\n] as const;'],
  ["RULE", 'const RULE =\n  /[{(]"/;'],
  ["double", "const double = (one: number): number => one * 2;"],
  ["pages.flush", "  const flush = async (): Promise<void> => {\n    await other(held);\n  };"],
  ["innermost", "    function innermost(): void {\n      flush();\n    }"],
  ["First.close", '  close(): void {\n    this.#drop("first");\n  }'],
  ["Second.close", "  close(): void {\n    super.close();\n  }"],
  ["First.#drop", "  #drop(what: string): void {\n    other(what);\n  }"],
  ["First.#size", "  readonly #size = 3;"],
  ["First.size", "  get size(): number {\n    return this.#size;\n  }"],
  [
    "lines",
    '  static async *lines(\n    one: (a: number) => void,\n  ): AsyncGenerator<string> {\n    yield "line";\n  }',
  ],
  ["openThing.list", "    list() {\n      return state;\n    },"],
  ["messages", "    async *messages(signal) {\n      yield signal;\n    },"],
  ["find", "    find: async (name) => {\n      state = name;\n    },"],
  ["[Symbol.dispose]", "  [Symbol.dispose](): void {\n    this.close();\n  }"],
])("%s is its text from its first line to its last", (name, text) => {
  expect(textOf(name)).toBe(text);
});

it("of an overloaded function, and of an overloaded method, the one with the body is meant", () => {
  expect(textOf("parse")).toMatch(/^export function parse\(text: string \| number\)[\s\S]*\n {2}return text;\n}$/);
  expect(textOf("Second.parse")).toBe("  parse(text: string): string {\n    return text;\n  }");
});

it("a function or a class ends where the next declaration begins, whatever stands in it", () => {
  expect(textOf("pages")).toMatch(/^export async function\* pages<T>\([\s\S]*\n {2}yield\* from;\n}$/);
  expect(textOf("openThing")).toMatch(/^export function openThing\(\): Thing {[\s\S]*\n {2}};\n}$/);
  expect(textOf("First")).toMatch(/^class First {[\s\S]*\n {4}this\.close\(\);\n {2}}\n}$/);
});

it("a name that several have is refused until it is told which is meant", () => {
  expect(() => declarationOf(SOURCE, "close")).toThrow("2 are called close there: First.close, Second.close");
  expect(() => declarationOf(SOURCE, "First.both")).toThrow("2 are called First.both there");
});

it("what is not there, or is no declaration, is refused", () => {
  for (const name of ["nobody", "held", "call", "name", "thing", "Third.close", "lose", ""])
    expect(() => declarationOf(SOURCE, name)).toThrow("nothing is called");
});
