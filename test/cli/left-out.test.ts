// What looks like mail and is not read: every verb names it, with -q too, counts it, ends with 3, and claims nothing.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Desk, type Said } from "../kit/cli.ts";

const FROM = "From ann@a.example Thu Jan  4 12:00:00 2024\n";
const letter = (n: number): string =>
  `From: ann@a.example\nSubject: Letter ${n}\nMessage-ID: <${n}@a.example>\n\nBody ${n}\n`;
/** A line of no known form, and a header behind it. */
const DOUBTFUL = `${FROM}${letter(1)}\nFrom the desk of Ann, today\n${letter(2)}`;

let desk: Desk;
let root: string;
beforeEach(() => {
  desk = new Desk();
  root = desk.root;
  mkdirSync(join(root, "mail"));
});
afterEach(() => desk[Symbol.dispose]());

/** With what --json printed. */
async function cli(...args: string[]): Promise<Said & { readonly events: readonly Record<string, unknown>[] }> {
  const said = await desk.run(args);
  const lines = args.includes("--json") ? said.out.split("\n").filter(Boolean) : [];
  return { ...said, events: lines.map((line) => JSON.parse(line)) };
}

const put = (name: string, content: string): void => writeFileSync(join(root, "mail", name), content);
const source = (query = ""): string => `mbox:${join(root, "mail")}${query}`;
const target = (): string => `maildir:${join(root, "out")}`;

it.each([[], ["-q"], ["--dry-run", "-q"]])(
  "a doubtful place makes a run partial, and is named (%s)",
  async (...options) => {
    put("Sent", `${FROM}${letter(3)}`);
    put("Inbox", DOUBTFUL);
    const { code, err } = await cli("backup", source(), target(), ...options);
    expect(code).toBe(3);
    expect(err).toContain(`${join(root, "mail", "Inbox")}: a line looks like the beginning of a message`);
    expect(err).toContain(`(octet ${DOUBTFUL.indexOf("From the desk")})`);
    expect(err).toContain("?dialect=every");
    expect(err).toContain("Not complete: 1 thing that looks like mail is not read, and is named above.");
    expect(err).not.toMatch(/Complete\.|The balance closes/);
  },
);

it("the next run says it again, though nothing moved, and copies nothing", async () => {
  put("Inbox", DOUBTFUL);
  for (const copied of [1, 0]) {
    const { code, err, events } = await cli("backup", source(), target(), "--json");
    expect(code).toBe(3);
    expect(err).toContain("1 thing that looks like mail is not read");
    expect(events.filter(({ type }) => type === "left-out")).toEqual([
      {
        type: "left-out",
        name: join(root, "mail", "Inbox"),
        folder: ["INBOX"],
        messages: 1,
        why: expect.stringContaining("like the beginning of a message"),
        hint: expect.stringContaining("?dialect=blank"),
      },
    ]);
    expect(events.at(-1)).toMatchObject({ summary: { outcome: "partial", leftOut: 1, balance: { copied } } });
  }
});

it("what the hint says ends it: every parts there, blank leaves it", async () => {
  put("Inbox", DOUBTFUL);
  for (const [dialect, copied] of [
    ["every", 2],
    ["blank", 1],
  ] as const) {
    const { code, events } = await cli("backup", source(`?dialect=${dialect}`), `${target()}-${dialect}`, "--json");
    expect(code).toBe(0);
    expect(events.at(-1)).toMatchObject({ summary: { outcome: "complete", balance: { copied } } });
  }
});

it("it is in the report file, with the way out", async () => {
  put("Inbox", DOUBTFUL);
  const report = join(root, "report.json");
  await cli("backup", source(), target(), "--report", report, "-q");
  const { events, summary } = JSON.parse(readFileSync(report, "utf8"));
  expect(events.filter(({ type }: { type: string }) => type === "left-out")).toMatchObject([{ folder: ["INBOX"] }]);
  expect(summary.leftOut).toBe(1);
});

it("octets before the first message are left out, a first message without its From_ line is not", async () => {
  put("Inbox", `garbage of a bad sector\n\n${FROM}${letter(1)}`);
  put("Sent", `${letter(2)}\n${FROM}${letter(3)}`);
  const { code, events } = await cli("backup", source(), target(), "--json");
  expect(code).toBe(3);
  expect(events.filter(({ type }) => type === "left-out")).toMatchObject([
    { folder: ["INBOX"], why: expect.stringContaining("its first 25 octets") },
  ]);
  expect(events.at(-1)).toMatchObject({ summary: { balance: { copied: 3 } } });
});

it("what was not asked for does not count: --folder and --exclude choose", async () => {
  put("Inbox", DOUBTFUL);
  put("Sent", `${FROM}${letter(3)}`);
  expect(await cli("backup", source(), target(), "--folder", "Sent")).toMatchObject({ code: 0 });
  expect(await cli("backup", source(), target(), "--exclude", "INBOX")).toMatchObject({ code: 0 });
  expect(await cli("backup", source(), target(), "--folder", "INBOX")).toMatchObject({ code: 3 });
  // What is named when the folders are listed, and no folder has to be read for.
  put("Outlook.pst", `!BDN${"\0".repeat(600)}`);
  expect(await cli("backup", source(), target(), "--folder", "Sent")).toMatchObject({ code: 0 });
  expect(await cli("backup", source(), target(), "--exclude", "INBOX", "--exclude", "Outlook*")).toMatchObject({
    code: 0,
  });
  expect(await cli("backup", source(), target(), "--exclude", "INBOX")).toMatchObject({ code: 3 });
});

it("verify does not say Verified, nor Different where what was read is there", async () => {
  put("Inbox", DOUBTFUL);
  await cli("backup", source(), target());
  const same = await cli("verify", source(), target(), "-q");
  expect(same.code).toBe(3);
  expect(same.err).toMatch(
    /Not complete: 1 message of the source is in the target .*; but 1 thing that looks like mail/,
  );
  expect(same.err).toContain("?dialect=every");
  put("Sent", `${FROM}${letter(3)}`);
  const other = await cli("verify", source(), target(), "--json");
  expect(other.code).toBe(6);
  expect(other.err).toMatch(/Different: 1 missing.*1 thing that looks like mail is not read/);
  expect(other.events.at(-1)).toMatchObject({ summary: { equal: false, leftOut: 1, missing: 1 } });
});
