// Maildirs that Dovecot's zlib plugin compressed, in all of its formats: read as the mail that the same Dovecot shows.

import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bigMessage } from "../../../fixtures/make.ts";
import { packingOf } from "../../../src/formats/packed/kinds.ts";
import { openMaildirSink } from "../../../src/sinks/maildir.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { folder, readAll, SIGNAL } from "../../formats/maildir/kit.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";

const FORMATS = { gz: "gzip", bz2: "bzip2", xz: "xz", zstd: "zstd", lz4: "lz4" } as const;
/** Beyond what is read at once, beyond a block of bzip2, and of one octet over and over. */
const SIZES = [100_000, 300_000, 2_500_000];

let dovecot: Dovecot;
let scratch: string;
beforeAll(async () => {
  dovecot = await startDovecot({ users: Object.keys(FORMATS), plugins: ["zlib"] });
  scratch = mkdtempSync(join(tmpdir(), "compressed-"));
  chmodSync(scratch, 0o755);
});
afterAll(async () => {
  await dovecot?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

function mail(): Buffer[] {
  const small = Buffer.from("Subject: small\r\nMessage-ID: <small@example.org>\r\n\r\nfew words\r\n");
  const alike = Buffer.from(`Subject: alike\r\n\r\n${`${"a".repeat(70)}\r\n`.repeat(40_000)}`);
  return [small, alike, ...SIZES.map((size) => bigMessage(size))];
}

async function save(format: keyof typeof FORMATS, messages: readonly Buffer[]): Promise<void> {
  for (const [i, octets] of messages.entries()) {
    const file = join(scratch, `${format}-${i}.eml`);
    writeFileSync(file, octets, { mode: 0o644 });
    const packs = format === "xz" ? [] : ["-o", `plugin/zlib_save=${format}`];
    await dovecot.doveadm([...packs, "save", "-u", format, file]);
  }
  if (format === "xz") packWithXz(dovecot.maildir(format));
}

/** Dovecot still reads this format, and writes it no more: what its older versions left is what xz makes. */
function packWithXz(root: string): void {
  for (const name of readdirSync(join(root, "new"))) {
    const file = join(root, "new", name);
    writeFileSync(file, execFileSync("xz", ["-6", "-c"], { input: readFileSync(file), maxBuffer: 1 << 26 }));
  }
  dovecot.adopt("xz");
}

for (const format of Object.keys(FORMATS) as (keyof typeof FORMATS)[])
  test(`${format}: every message is read as it was saved`, async () => {
    const messages = mail();
    await save(format, messages);
    const root = dovecot.maildir(format);
    const files = ["new", "cur"].flatMap((place) =>
      readdirSync(join(root, place)).map((name) => join(root, place, name)),
    );
    const packed = files.filter((file) => packingOf(readFileSync(file).subarray(0, 16))?.packing === FORMATS[format]);
    expect(packed).toHaveLength(messages.length);
    await using source = await openMaildirSource({ path: root }, SIGNAL);
    const got = await readAll(source, ["INBOX"]);
    expect(got.map(({ error }) => error)).toEqual(messages.map(() => undefined));
    expect(got.map(({ bytes }) => bytes?.equals(messages.shift() ?? Buffer.alloc(0)))).toEqual(got.map(() => true));
    // Room is kept for what comes out, not for what lies on the disk.
    const alike = packed.find((file) => statSync(file).size < 100_000 && /,S=2[89]\d{5},/.test(file));
    expect(alike).toBeDefined();
    expect(got.every(({ entry, bytes }) => (entry.size ?? 0) * 1.1 >= (bytes?.length ?? 0))).toBe(true);
    await using sink = await openMaildirSink({ path: root }, SIGNAL);
    const target = await sink.open(folder("INBOX"), SIGNAL);
    const copies: (number | undefined)[] = [];
    for await (const { size } of target.copies(undefined, SIGNAL)) copies.push(size);
    expect(copies.sort()).toEqual(packed.map((file) => Number(/,S=(\d+)/.exec(file)?.[1])).sort());
  });
