// A lock that is held: renewed every ten seconds, and given up for lost as soon as it is another's.

import { mkdtemp, readFile, rename, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { acquireLock } from "../../src/core/lock.ts";
import { virtualClock } from "../kit/lock-clock.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lock-"));
  path = join(directory, "lock");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const ROBBER = `${JSON.stringify({
  token: "00000000-0000-4000-8000-000000000001",
  pid: 3,
  host: "c0ffee",
  since: 1_700_000_000,
})}\n`;

/** As whoever takes over does it: another file under the name. */
async function rob(text = ROBBER): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

const read = (): Promise<string> => readFile(path, "utf8");
const renewals = async (): Promise<number> => Number((JSON.parse(await read()) as { renewals: string }).renewals);

it("is renewed every ten seconds, in place and with the same length, until it is given back", async () => {
  const clock = virtualClock();
  const lock = await acquireLock(path, "it", { clock });
  const first = await read();
  expect(await renewals()).toBe(0);
  await clock.pass(9_999);
  expect(await renewals()).toBe(0);
  await clock.pass(1);
  await expect.poll(renewals).toBe(1);
  for (let n = 2; n <= 6; n++) {
    await clock.pass(10_000);
    await expect.poll(renewals).toBe(n);
  }
  expect(await read()).toHaveLength(first.length);
  expect(JSON.parse(await read())).toMatchObject({ pid: process.pid });
  lock.hold(true);
  await lock[Symbol.asyncDispose]();
  await clock.pass(60_000);
  await expect(read()).rejects.toMatchObject({ code: "ENOENT" });
});

it("taken over, it stops its run within a second, names who has it, and never touches the other's file", async () => {
  const clock = virtualClock();
  const lock = await acquireLock(path, "the archive ./backup", { clock });
  lock.hold();
  await rob();
  // What the last look said holds for a second: it costs nothing to ask again.
  await clock.pass(999);
  lock.hold();
  await clock.pass(1);
  expect(() => lock.hold()).toThrow(
    `the archive ./backup: process 3 on c0ffee has taken over its lock since 2023-11-14T22:13:20.000Z (lock file ${path}); this run writes nothing more`,
  );
  await clock.pass(120_000);
  await lock[Symbol.asyncDispose]();
  expect(await read()).toBe(ROBBER);
  // Even were its own file put back.
  await unlink(path);
  expect(() => lock.hold()).toThrow(expect.objectContaining({ code: "locked" }) as Error);
});

it("looks at once where it is told to, and after the machine slept, though its clock stood still", async () => {
  for (const wake of [true, false]) {
    const clock = virtualClock();
    const lock = await acquireLock(path, "it", { clock });
    lock.hold();
    await rob();
    if (!wake) clock.sleep(3_600_000);
    expect(() => lock.hold(wake)).toThrow("process 3 on c0ffee");
    await unlink(path);
  }
});

it("a renewal that comes too late goes into no file", async () => {
  const clock = virtualClock();
  await acquireLock(path, "it", { clock });
  await rob();
  await clock.pass(10_000);
  expect(await read()).toBe(ROBBER);
});

it("its file removed or emptied, it holds nothing any more", async () => {
  for (const harm of [() => unlink(path), () => writeFile(path, "")]) {
    const clock = virtualClock();
    const lock = await acquireLock(path, "it", { clock });
    await harm();
    expect(() => lock.hold(true)).toThrow(`its lock file ${path} was removed or changed`);
    await rm(path, { force: true });
  }
});

it("not renewed for half a minute, it is renewed before it is relied on", async () => {
  // Nothing that waits idly is ever woken: as in a process that stood still.
  const stuck = { ...virtualClock(), wait: () => new Promise<void>(() => undefined) };
  let now = 0;
  const lock = await acquireLock(path, "it", { clock: { ...stuck, now: () => now, wall: () => now } });
  now = 29_999;
  lock.hold();
  expect(await renewals()).toBe(0);
  now = 30_000;
  lock.hold();
  expect(await renewals()).toBe(1);
  now = 31_000;
  lock.hold();
  expect(await renewals()).toBe(1);
});
