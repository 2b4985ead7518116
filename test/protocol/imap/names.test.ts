// Paths and mailbox names: each path its own name, and back again, whatever delimiter and prefix the server has.

import { expect, it } from "vitest";
import { nameFor, pathOf, pathsOf } from "../../../src/protocol/imap/names.ts";

const SERVERS = [
  { prefix: "", delimiter: "/" },
  { prefix: "", delimiter: "." },
  { prefix: "INBOX.", delimiter: "." },
  { prefix: "INBOX/", delimiter: "/" },
];
const PATHS = [
  ["INBOX"],
  ["INBOX", "below"],
  ["Ünï", "日本", "🦊"],
  [" a ", "b "],
  ["100% * & &- &AOQ-"],
  ['"', "\\"],
  ["{5}", "(x)"],
  ["line\r\nend\0"],
];

it.each(SERVERS)("names of %o are read back as the paths that they are for", (naming) => {
  for (const path of PATHS) {
    const { name, path: back } = nameFor(path, naming, 0);
    expect(name).toMatch(/^[\x20-\x7e]+$/);
    expect(back).toEqual(path);
    expect(pathOf(name, naming.delimiter, naming.prefix)).toEqual(path);
  }
});

it("a name with the delimiter in it changes, and the path tells", () => {
  const naming = { prefix: "", delimiter: "/" };
  expect(nameFor(["a/b", "c"], naming, 0)).toEqual({ name: "a_b/c", path: ["a_b", "c"] });
  const names = new Set(Array.from({ length: 12 }, (_, n) => nameFor(["a/b"], naming, n).name));
  expect(names.size).toBeGreaterThan(8);
  expect(nameFor(["", "x"], naming, 0).path).toEqual(["_", "x"]);
});

it("only the inbox is the inbox", () => {
  const naming = { prefix: "", delimiter: "/" };
  expect(pathOf("iNbOx", "/", "")).toEqual(["INBOX"]);
  expect(pathOf("Inbox/x", "/", "")).toEqual(["INBOX", "x"]);
  expect(nameFor(["inbox"], naming, 0).name.toUpperCase()).not.toBe("INBOX");
  expect(pathOf("INBOX.INBOX", ".", "INBOX.")).not.toEqual(["INBOX"]);
  expect(nameFor(["a"], { prefix: "", delimiter: null }, 0).name).toBe("a");
});

it("names that are no valid encoding keep their spelling and take nobody's path", () => {
  const listed = ["R&D", "R&-D", "caf\xc3\xa9", "caf&AOk-", "&AGE-", "a", "x\xff"].map((name) => ({
    name,
    delimiter: "/",
  }));
  const paths = pathsOf(listed, "");
  expect(paths.get("R&-D")).toEqual(["R&D"]);
  expect(paths.get("caf&AOk-")).toEqual(["café"]);
  expect(paths.get("a")).toEqual(["a"]);
  expect(paths.get("x\xff")).toEqual(["x\xff"]);
  expect(new Set([...paths.values()].map((path) => JSON.stringify(path))).size).toBe(listed.length);
});
