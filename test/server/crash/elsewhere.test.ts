// Killed in a container, and run again from another one: the dead one's lock names a machine that nobody can ask. What it held is taken
// over after a minute of silence, and nothing is lost or there twice.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { count } from "../../kit/counts.ts";
import { launch, start } from "../../kit/crash.ts";
import { muchMail, nameOf, type Scene, scene, type Way } from "./scenes.ts";
import { expectComplete, useStage } from "./stage.ts";

const MAIL = muchMail(40);
const TIME_LIMIT_MS = 600_000;
const stage = useStage();

const CASES: readonly (Way & { readonly at: string })[] = [
  { command: "migrate", from: "imap", to: "imap", at: "write journal done" },
  { command: "migrate --move", from: "imap", to: "imap", at: "send UID STORE" },
  { command: "backup", from: "imap", to: "maildir", at: "rename maildir" },
  { command: "drain", from: "pop3", to: "archive", at: "write journal done" },
  { command: "backup", from: "maildir", to: "file.zip", at: "rename zip" },
];

function locksOf(play: Scene): string[] {
  const places = play.args.map((arg) => arg.replace(/^(maildir|mboxzip):/, "")).filter((arg) => arg.startsWith("/"));
  return places
    .flatMap((place) => [place, `${place}.part.d`])
    .flatMap((place) => {
      try {
        return readdirSync(place, { recursive: true, encoding: "utf8" }).map((name) => join(place, name));
      } catch {
        return [];
      }
    })
    .filter((path) => /\/(writer\.)?lock$/.test(path));
}

// All of them wait for the same minute.
it.concurrent.each(CASES.map((each) => [`${nameOf(each)}, killed at ${each.at}`, each] as const))(
  "%s",
  async (where, { at, ...way }) => {
    const counted = await start(stage.commandOf(await scene(stage.place(), way, MAIL)), { count: true });
    const kind = counted.steps.find((step) => step.startsWith(at)) ?? "";
    expect(kind, [...new Set(counted.steps)].join(", ")).not.toBe("");
    const play = await scene(stage.place(), way, MAIL);
    const killed = await start(stage.commandOf(play), { death: { kind, nth: 1 } });
    expect(killed.signal, killed.stderr).toBe("SIGKILL");
    const locks = locksOf(play);
    expect(locks.length).toBeGreaterThan(0);
    for (const lock of locks) {
      const held = JSON.parse(readFileSync(lock, "utf8")) as object;
      writeFileSync(lock, JSON.stringify({ ...held, host: "c0ffee", space: "pid:[1]" }));
    }
    const next = await launch(stage.commandOf(play)).ended;
    expect(next.code, `${where}\n${next.stderr}`).toBe(0);
    await expectComplete(play, where);
    count("crash points");
  },
  TIME_LIMIT_MS,
);
