// A run that stood still for so long that another one took its lock over: when it goes on it writes nothing more, and says who
// has it; the next run completes.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { count } from "../../kit/counts.ts";
import { launch, type Running, start, startHere } from "../../kit/crash.ts";
import { type Content, muchMail, nameOf, type Scene, scene, type Way } from "./scenes.ts";
import { expectComplete, useStage } from "./stage.ts";

const MAIL = muchMail(40);
const stage = useStage();

const CASES: readonly (Way & { readonly at: string })[] = [
  { command: "migrate", from: "imap", to: "imap", at: "write journal done" },
  { command: "migrate --move", from: "imap", to: "imap", at: "send UID STORE" },
  { command: "backup", from: "imap", to: "maildir", at: "rename maildir" },
  { command: "backup", from: "imap", to: "maildir", at: "write journal done" },
  { command: "drain", from: "pop3", to: "archive", at: "write journal done" },
  { command: "drain", from: "pop3", to: "maildir", at: "send DELE" },
  { command: "backup", from: "maildir", to: "file.zip", at: "rename zip" },
];

/** A run that stands still before a step of its own. */
async function standing(play: Scene, way: Way, at: string): Promise<Running> {
  const counted = await start(stage.commandOf(await scene(stage.place(), way, MAIL)), { count: true });
  const steps = counted.steps.filter((kind) => kind.startsWith(at));
  expect(steps.length, `${at} of ${[...new Set(counted.steps)].join(", ")}`).toBeGreaterThan(0);
  const [kind] = steps;
  const nth = Math.ceil(steps.filter((step) => step === kind).length / 2);
  const run = launch(stage.commandOf(play), { signals: [{ name: "SIGSTOP", at: `${kind}/${nth}` }] });
  await run.stopped();
  return run;
}

function placesOf(play: Scene): string[] {
  const named = play.args.map((arg) => arg.replace(/^(maildir|mboxzip):/, "")).filter((arg) => arg.startsWith("/"));
  return named.flatMap((place) => [place, `${place}.part.d`]);
}

function filesOf(play: Scene): string[] {
  return placesOf(play).flatMap((place) => {
    try {
      return readdirSync(place, { recursive: true, encoding: "utf8" }).map((name) => join(place, name));
    } catch {
      return [];
    }
  });
}

const messagesIn = (content: Content): number => [...content.values()].reduce((sum, { length }) => sum + length, 0);

/** Every file with what is in it. */
function stateOf(play: Scene): string[] {
  return filesOf(play)
    .filter((path) => statSync(path).isFile() && !/\/tmp\/|\/staging\//.test(path))
    .map((path) => `${path} ${createHash("sha256").update(readFileSync(path)).digest("hex")}`)
    .sort();
}

describe.each(CASES.map((each) => [`${nameOf(each)}, at ${each.at}`, each] as const))("%s", (name, { at, ...way }) => {
  it("writes nothing more once its lock is another's, ends with 5 and names it; the next run completes", async () => {
    const play = await scene(stage.place(), way, MAIL);
    const run = await standing(play, way, at);
    const locks = filesOf(play).filter((path) => /\/(writer\.)?lock$/.test(path));
    expect(locks.length).toBeGreaterThan(0);
    for (const lock of locks) {
      const held = JSON.parse(readFileSync(lock, "utf8")) as object;
      const other = {
        ...held,
        token: "00000000-0000-4000-8000-000000000001",
        pid: 3,
        host: "c0ffee",
        space: "pid:[1]",
      };
      writeFileSync(`${lock}.new`, `${JSON.stringify(other)}\n`);
      renameSync(`${lock}.new`, lock);
    }
    const before = stateOf(play);
    run.signal("SIGCONT");
    const ended = await run.ended;
    expect(ended.code, ended.stderr).toBe(5);
    expect(ended.stderr).toContain("process 3 on c0ffee has taken over its lock");
    // The very step at which it stood was checked before it stood still: no more than that.
    const after = stateOf(play);
    const news = after.filter((line) => !before.includes(line));
    expect(news.length, news.join("\n")).toBeLessThanOrEqual(1);
    // Marked, perhaps, and not one more of them gone: of four folders two are done, or one.
    expect(messagesIn(await play.left())).toBeGreaterThanOrEqual(messagesIn(play.wanted) / 2);
    for (const lock of locks) rmSync(lock);
    const next = await startHere(stage.commandOf(play));
    expect(next.code, next.stderr).toBe(0);
    await expectComplete(play, name);
    count("crash points");
  });
});
