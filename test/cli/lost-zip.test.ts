// An archive of zips that lost one: every command that meets it says so, with -q too, and does not call itself complete.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { program } from "../../src/cli/program.ts";

let root: string;
let source: string;
let archive: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mailferry-lost-zip-"));
  source = join(root, "source");
  archive = join(root, "archive");
  for (const place of ["cur", "new", "tmp"]) mkdirSync(join(source, place), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function cli(...args: string[]): Promise<{ code: number; err: string }> {
  const err: string[] = [];
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(() => true),
    vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0),
  ];
  try {
    const code = await program(args, { PATH: process.env.PATH, XDG_STATE_HOME: join(root, "state") });
    return { code, err: err.join("") };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

const put = (name: string): void =>
  writeFileSync(join(source, "cur", `1600000000.${name}.x:2,S`), `Message-ID: <${name}@x>\n\nbody of ${name}\n`);
const zips = (): string[] =>
  readdirSync(archive)
    .filter((name) => name.endsWith(".zip"))
    .sort();
const backup = (...more: string[]) => cli("backup", `maildir:${source}`, `mboxzip:${archive}`, ...more);

/** Two zips; the one with this number is taken away. */
async function without(number: number): Promise<void> {
  for (let n = 0; n < 8; n++) put(`first${n}`);
  expect((await backup()).code).toBe(0);
  put("second");
  expect(await backup()).toMatchObject({ code: 0, err: expect.stringContaining("Complete") });
  rmSync(join(archive, zips()[number - 1] ?? ""));
}

const SAID = (number: number) => new RegExp(`the zip with the number 000${number} is missing`);

describe.each([1, 2])("an archive without zip %i", (number) => {
  beforeEach(() => without(number));

  it.each([["-q"], ["--json", "-q"], []])("makes backup say so and exit with 3 (%s)", async (...options) => {
    const { code, err } = await backup(...options.filter(Boolean));
    expect(code).toBe(3);
    expect(err).not.toMatch(/Complete\.|The balance closes/);
    expect(err).toMatch(SAID(number));
  });

  it("makes restore say so and exit with 3", async () => {
    const { code, err } = await cli("restore", archive, `maildir:${join(root, "restored")}`, "-q");
    expect(code).toBe(3);
    expect(err).toMatch(SAID(number));
    expect(err).not.toMatch(/Complete\.|The balance closes/);
  });

  it("is named by verify, until all was looked for once more; then nothing misses it", async () => {
    expect(await cli("verify", archive)).toMatchObject({ code: 6, err: expect.stringMatching(SAID(number)) });
    expect((await backup("--recheck")).code).toBe(3);
    expect(await backup()).toMatchObject({ code: 0, err: expect.stringContaining("Complete") });
    expect(await cli("verify", archive)).toMatchObject({ code: 0 });
    expect(await cli("verify", `maildir:${source}`, `mboxzip:${archive}`)).toMatchObject({ code: 0 });
  });

  it("goes on being missed where only a part was looked for", async () => {
    expect((await backup("--recheck", "--folder", "INBOX")).code).toBe(3);
    expect((await backup()).code).toBe(3);
  });
});
