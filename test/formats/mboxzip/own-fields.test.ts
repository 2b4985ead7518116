// A message that brings along the fields in which mail programs keep their state: in our mboxes they find ours alone, and it comes back whole.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { decodeRecord, MANIFEST_NAME, type MessageRecord } from "../../../src/formats/manifest.ts";
import { hideOwnFields, OWN_PREFIX, showOwnFields } from "../../../src/formats/mbox/own-fields.ts";
import { readState } from "../../../src/formats/mbox/state.ts";
import { checkZip } from "../../../src/formats/mboxzip/check-zip.ts";
import { parseRef } from "../../../src/formats/mboxzip/ref.ts";
import { openZip } from "../../../src/formats/zip/read.ts";
import type { SystemFlag } from "../../../src/mail/model.ts";
import { openMboxZipSink } from "../../../src/sinks/mbox-zip.ts";
import { chance } from "../mbox/kit.ts";
import { append, folder, gather, NEVER, pieces, restoreFrom, scratch } from "./kit.ts";

const NAMES = [
  ...["Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "X-Mozilla-Status", "X-Mozilla-Status2"],
  ...["X-Mozilla-Keys", "X-Evolution", "Content-Length"],
];

const hide = async (text: string, size = 997): Promise<{ text: string; hidden: number }> => {
  let hidden = 0;
  const out = await gather(hideOwnFields(pieces(Buffer.from(text, "latin1"), size), () => hidden++));
  return { text: out.toString("latin1"), hidden };
};
const show = async (text: string, size = 997): Promise<string> =>
  (await gather(showOwnFields(pieces(Buffer.from(text, "latin1"), size)))).toString("latin1");

describe("a message's own state fields", () => {
  it.each(NAMES)("%s gets another name in any spelling, in the header alone", async (name) => {
    for (const spelling of [name, name.toUpperCase(), name.toLowerCase(), `${name} `])
      for (const end of ["\n", "\r\n"]) {
        const text = ["A: b", `${spelling}: RO`, "B: c", "", `${name}: in the body`, ""].join(end);
        const { text: stored, hidden } = await hide(text, 11);
        expect(stored).toBe(text.replace(spelling, `${OWN_PREFIX}${spelling}`));
        expect(hidden).toBe(1);
        expect(await show(stored)).toBe(text);
      }
  });

  it("are none that only look like one", async () => {
    for (const line of [
      "Statuses: x",
      "X-Status-Of: x",
      "X-UIDL: 7",
      " Status: x",
      "X-Mailer: m",
      "Content-Lengthy: 7",
    ])
      expect(await hide(`A: b\n${line}\n\n`)).toEqual({ text: `A: b\n${line}\n\n`, hidden: 0 });
  });

  it("come back exactly, cut anywhere, whatever the header holds", async () => {
    const below = chance(3);
    const words = [
      ...NAMES,
      OWN_PREFIX,
      `${OWN_PREFIX}Status`,
      OWN_PREFIX.slice(0, -3),
      OWN_PREFIX.toLowerCase(),
      "A",
      "",
      " ",
      "Sta",
      "\r",
    ];
    const ends = ["\n", "\r\n", "\n", ": x\n", ":\r\n", ": RO\n", "", "\r"];
    let changed = 0;
    for (let round = 0; round < 4000; round++) {
      const text = Array.from(
        { length: below(7) },
        () => `${words[below(words.length)]}${ends[below(ends.length)]}`,
      ).join("");
      const whole = await hide(text, 4096);
      const cut = await hide(text, 1 + below(30));
      expect(cut).toEqual(whole);
      expect(await show(whole.text, 1 + below(30))).toBe(text);
      if (whole.hidden > 0) changed++;
      // What is left of them stands in the body.
      const header = /^(?:(?!\r?\n)[^\n]*\n?)*/.exec(whole.text)?.[0] ?? "";
      for (const name of NAMES)
        expect(header.toLowerCase()).not.toMatch(new RegExp(`(?:^|\n)${name.toLowerCase()}[ \t:]`));
    }
    expect(changed).toBeGreaterThan(1000);
  });
});

const MAIL: readonly (readonly [text: string, flags: readonly SystemFlag[], keywords: readonly string[]])[] = [
  ["Status: RO\r\nX-Status: AFD\r\nX-Keywords: theirs\r\nSubject: own\r\n\r\nbody\r\n", [], []],
  ["Subject: below\r\nStatus: O\r\nX-Status: D\r\nContent-Length: 2\r\n\r\nbody\r\n", ["seen", "flagged"], ["ours"]],
  [`Subject: ours\r\n${OWN_PREFIX}Status: RO\r\nX-Mozilla-Status: 0009\r\n\r\nlf\r\n`, ["answered"], []],
  ["Subject: mixed\r\nX-UID: 7\n\r\nFrom here\n", ["seen"], []],
  ["\tD F A folded\r\nSubject: continues\r\n\r\nbody\r\n", [], []],
  [`Subject: ${"long ".repeat(250_000)}\r\nStatus: RO\r\n\r\nbody\r\n`, [], []],
  ["Subject: plain\r\n\r\nbody\r\n", ["deleted", "seen"], []],
];

async function archived(path: string): Promise<string[]> {
  await using sink = await openMboxZipSink({ path, job: "job" }, NEVER);
  const inbox = await sink.open(folder("INBOX"), NEVER);
  const refs: string[] = [];
  for (const [text, flags, keywords] of MAIL)
    refs.push(await append(inbox, text, { flags: new Set(flags), keywords: new Set(keywords) }));
  await sink.seal(NEVER);
  return refs;
}

describe("mboxes of ours", () => {
  it("show other programs our states alone, and give every message back as it was", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    const refs = await archived(path);
    const back = await restoreFrom(path);
    expect(back.map(({ bytes }) => bytes.toString("latin1"))).toEqual(MAIL.map(([text]) => text));
    expect(refs.map((ref) => parseRef(ref)?.hides)).toEqual([true, true, true, true, false, true, false]);
    const problems: string[] = [];
    await checkZip(path, place.path, NEVER, (text) => problems.push(text));
    expect(problems).toEqual([]);

    const script = `
import json, mailbox, subprocess, sys
open(sys.argv[2], "wb").write(subprocess.run(["unzip", "-p", sys.argv[1], "INBOX.mbox"], stdout=subprocess.PIPE, check=True).stdout)
names = ["Status", "X-Status", "X-Keywords", "X-Mozilla-Status", "X-UID", "Content-Length"]
print(json.dumps([["".join(sorted(m.get_flags()))] + [m.get_all(n, []) for n in names] for m in mailbox.mbox(sys.argv[2], create=False)]))`;
    const read = JSON.parse(
      execFileSync("python3", ["-c", script, path, join(place.path, "INBOX.mbox")], { encoding: "utf8" }),
    );
    // Each field once or not at all: whoever adds up what all of them say (mutt, Dovecot) finds the same.
    expect(read).toEqual([
      ["O", ["O"], [], [], [], [], []],
      ["FOR", ["RO"], ["F"], ["ours"], [], [], []],
      ["AO", ["O"], ["A"], [], [], [], []],
      ["OR", ["RO"], [], [], [], [], []],
      ["O", ["O"], [], [], [], [], []],
      ["O", ["O"], [], [], [], [], []],
      ["DOR", ["RO"], ["D"], [], ["0009"], [], []],
    ]);
  });

  it("are read back by the mbox source as what went in", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    await archived(path);
    await using zip = await openZip(path);
    const mbox = (await gather(zip.read("INBOX.mbox", "account"))).toString("latin1");
    const [, first = ""] = mbox.split(/^From .*\n/m);
    const state = readState(Buffer.from(first, "latin1"));
    expect(state.head.toString("latin1").replaceAll("\n", "\r\n")).toBe(`${MAIL[0]?.[0]}\r\n`);
    expect([...state.traits.flags]).toEqual([]);
  });

  it("are written so that an earlier version refuses them, and those of an earlier version are read", async () => {
    await using place = await scratch();
    const path = join(place.path, "mail.zip");
    await archived(path);
    await using zip = await openZip(path);
    const lines = (await gather(zip.read(MANIFEST_NAME, "account"))).toString("utf8").trimEnd().split("\n");
    expect(lines[0]).toContain('"version":2');
    const record = decodeRecord(Buffer.from(lines.at(-1) ?? "")) as MessageRecord;
    expect(record.hides).toBeUndefined();
    const older = (lines[0] ?? "").replace('"version":2', '"version":1').replace(/,"crc":"\w{8}"}$/, "");
    const checksum = crc32(older).toString(16).padStart(8, "0");
    expect(decodeRecord(Buffer.from(`${older},"crc":"${checksum}"}`)).type).toBe("header");
  });
});
