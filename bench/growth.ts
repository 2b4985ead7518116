// Growth by run: ten times the messages, ten times the folders. Time a message must stay what it is, and memory too.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Seed } from "../test/kit/imap-client.ts";
import { type Cost, measure } from "./measure.ts";
import type { Place } from "./place.ts";
import { FLOORS } from "./tools/floors.ts";
import { mailferry } from "./tools/mailferry.ts";
import type { Job } from "./tools/tool.ts";
import { MOST_MB } from "./works.ts";

interface Mailbox {
  readonly messages: number;
  readonly folders: number;
}

const LIMIT_SECONDS = 3 * 3600;
/** Ten times the mailbox may take ten times as long, and this much more: a measurement is not exact. */
const MOST_GROWTH = 1.3;
/** Messages of the mailboxes with many folders. */
const IN_A_FOLDER = 4;

/** Some 500 octets, each its own. */
function* small({ messages, folders }: Mailbox): Iterable<Seed> {
  const text = "a line of text that says nothing\r\n".repeat(9);
  for (let number = 0; number < messages; number++) {
    const folder = folders === 1 ? ["INBOX"] : [`Box ${Math.floor((number * folders) / messages)}`];
    const head = `From: a@example.net\r\nSubject: message ${number}\r\nMessage-ID: <${number}.growth@example.net>\r\n`;
    yield { folder, bytes: Buffer.from(`${head}\r\n${text}`) };
  }
}

/**
 * First runs and runs without any change, IMAP to Maildir, mailferry alone. `scale` multiplies everything, to try it. The
 * result is Markdown. Throws when a run fails or does not bring every message.
 */
export async function measureGrowth(place: Place, scale: number, progress: (text: string) => void): Promise<string> {
  const messages = Math.max(10, Math.round(100_000 * scale));
  const folders = Math.max(2, Math.round(500 * scale));
  const many = [messages, 10 * messages].map((count) => ({ messages: count, folders: 1 }));
  const wide = [folders, 10 * folders].map((count) => ({ messages: IN_A_FOLDER * count, folders: count }));
  const lines = [
    "### Growth",
    "",
    "Messages of some 500 octets, IMAP to Maildir, no delay, no TLS. A unit is a message, or a folder where there are many.",
    "",
    "| mailbox | run | wall s | CPU s | CPU ms a unit | RSS MB |",
    "| --- | --- | --- | --- | --- | --- |",
  ];
  const verdicts: string[] = [];
  for (const pair of [many, wide]) {
    const costs: { units: number; first: Cost; again: Cost }[] = [];
    for (const mailbox of pair) {
      const units = mailbox.folders === 1 ? mailbox.messages : mailbox.folders;
      const unit = mailbox.folders === 1 ? "messages" : "folders";
      progress(`making ${units} ${unit}`);
      const { first, again } = await runTwice(place, mailbox, progress);
      costs.push({ units, first, again });
      for (const [name, cost] of [
        ["first", first],
        ["no change", again],
      ] as const) {
        const each = ((1000 * cost.cpuSeconds) / units).toFixed(3);
        lines.push(
          `| ${units} ${unit} | ${name} | ${cost.wallSeconds.toFixed(1)} | ${cost.cpuSeconds.toFixed(1)} | ${each} | ${cost.peakMb.toFixed(0)} |`,
        );
      }
    }
    const [less, more] = costs;
    if (less === undefined || more === undefined) continue;
    for (const name of ["first", "again"] as const) {
      const growth = more[name].cpuSeconds / less[name].cpuSeconds / (more.units / less.units);
      const what = `${more.units} to ${less.units}, ${name === "first" ? "first run" : "no change"}`;
      verdicts.push(
        `| ${what} | CPU a unit | ${MOST_GROWTH}x | ${growth.toFixed(2)}x | ${growth <= MOST_GROWTH ? "yes" : "**no**"} |`,
        `| ${what} | memory | ${MOST_MB} MB | ${less[name].peakMb.toFixed(0)} to ${more[name].peakMb.toFixed(0)} MB | ${more[name].peakMb <= MOST_MB ? "yes" : "**no**"} |`,
      );
    }
  }
  const head = ["| growth | of | at most | is | holds |", "| --- | --- | --- | --- | --- |"];
  return [...lines, "", ...head, ...verdicts, ""].join("\n");
}

async function runTwice(
  place: Place,
  mailbox: Mailbox,
  progress: (text: string) => void,
): Promise<{ first: Cost; again: Cost }> {
  const user = `growth-${mailbox.messages}-${mailbox.folders}`;
  const base = join(place.root, user);
  const job: Job = {
    route: "imap-maildir",
    moment: "first",
    source: place.account("imap", user, { rttMs: 0, tls: false }),
    target: join(base, "target"),
    state: join(base, "state"),
    mbox: "",
    caFile: place.caFile,
  };
  for (const directory of [job.target, job.state]) mkdirSync(directory, { recursive: true });
  await place.addUser(user);
  place.seed(user, small(mailbox));
  const run = async (name: string, command: Parameters<typeof measure>[0]): Promise<Cost & { stderr: string }> => {
    const outcome = await measure(command, base, LIMIT_SECONDS);
    progress(`${user}: ${name} ${outcome.cost.wallSeconds.toFixed(1)} s`);
    if (outcome.ended === "well") return { ...outcome.cost, stderr: outcome.stderr };
    throw new Error(`${user}: ${name}: ${outcome.ended === "badly" ? outcome.why : "took too long"}`);
  };
  try {
    const floor = FLOORS.find(({ name }) => name === "floor-read");
    // The first reader makes the server write its indexes.
    if (floor !== undefined) await run("floor-read", floor.command(job));
    const command = mailferry.command(job);
    // The balance that it prints at the end is checked.
    const telling = { ...command, args: command.args.filter((each) => each !== "-q") };
    const first = await run("first run", telling);
    mustHave(first.stderr, "copied", mailbox.messages);
    const again = await run("no change", telling);
    mustHave(again.stderr, "copied", 0);
    return { first, again };
  } finally {
    rmSync(base, { recursive: true, force: true, maxRetries: 5 });
    place.removeUser(user);
  }
}

function mustHave(printed: string, what: string, count: number): void {
  const found = new RegExp(`^ +${what} +([\\d,]+)`, "m").exec(printed)?.[1]?.replaceAll(",", "");
  if (Number(found) !== count || !printed.includes("The balance closes."))
    throw new Error(`${what} ${found ?? "nothing"} and not ${count}: ${printed.slice(-500)}`);
}
