// Measures one work: every tool that can do it, in turns, each result checked.

import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Seed } from "../test/kit/imap-client.ts";
import { type Added, type Content, contentOf, difference, maildirFolders, zipFolders } from "./content.ts";
import { mailOf, newMail, type Profile, type Size } from "./mailboxes.ts";
import { writeMbox } from "./mbox-file.ts";
import { type Cost, measure } from "./measure.ts";
import type { Place } from "./place.ts";
import { FLOORS } from "./tools/floors.ts";
import type { Job, Tool } from "./tools/tool.ts";
import type { Work } from "./works.ts";

export interface Settings {
  readonly runs: number;
  readonly limitSeconds: number;
  /** A tool whose first run took longer than this, and ten times as long as mailferry, is not run again. */
  readonly patienceSeconds: number;
  readonly size: (profile: Profile) => Size;
  readonly progress: (text: string) => void;
}

export interface Measured {
  readonly tool: string;
  readonly kind: Tool["kind"];
  /** By round; undefined where it did not run or its result was wrong. */
  readonly costs: readonly (Cost | undefined)[];
  /** Seconds after which it was ended without having done the work: it needs more than that. */
  readonly moreThan?: number;
  /** What is wrong with it, or what it did to the mail; nothing when all is right. */
  readonly remarks: readonly string[];
}

export interface Bench {
  measure(work: Work, tools: readonly Tool[]): Promise<readonly Measured[]>;
}

/** For works without a server. */
const NO_ACCOUNT = { port: 0, user: "", password: "" };

/** mbsync sleeps until the clock has left the second in which a Maildir was last changed. */
const SETTLE_MS = 2000;

/** A bench in this place; the mailboxes are made when the first work asks for them. */
export function startBench(place: Place, settings: Settings): Bench {
  const seeded = new Set<string>();
  const expectations = new Map<string, Content>();
  let serial = 0;

  const seedOnce = async (user: string, profile: Profile): Promise<void> => {
    if (seeded.has(user)) return;
    seeded.add(user);
    settings.progress(`making ${user}`);
    await place.addUser(user);
    place.seed(user, mailOf(profile, settings.size(profile)));
    // The first reader makes the server write its indexes.
    const floor = FLOORS.find(({ name }) => name === "floor-read");
    const source = place.account("imap", user, { rttMs: 0, tls: false });
    const job = {
      route: "imap-maildir",
      moment: "first",
      source,
      target: "",
      state: "",
      mbox: "",
      caFile: "",
    } as const;
    const outcome = floor && (await measure(floor.command(job), place.root, settings.limitSeconds));
    if (outcome?.ended !== "well") throw new Error(`the mailbox ${user} cannot be read: ${JSON.stringify(outcome)}`);
  };

  /** What must be there at the end. */
  const expected = (profile: Profile, hasNew: boolean, added: Added): Content => {
    const name = JSON.stringify([profile, hasNew, added]);
    let content = expectations.get(name);
    if (content === undefined) {
      const size = settings.size(profile);
      const folders = new Map<string, Buffer[]>();
      // Only the keys are kept: a folder at a time would need the generator to go by folders, which it does.
      const keyed = groupByFolder(mailOf(profile, size), hasNew ? newMail(profile, size) : [], folders);
      content = contentOf(keyed, added);
      expectations.set(name, content);
    }
    return content;
  };

  const foundBy = async (job: Job, user: string | undefined, added: Added): Promise<Content> => {
    if (user !== undefined) return contentOf(maildirFolders(place.maildir(user)), added);
    if (job.route !== "imap-mboxzip" || !isZip(job)) return contentOf(maildirFolders(job.target), added);
    const scratch = join(job.target, "unzipped");
    mkdirSync(scratch);
    const content = contentOf(await zipFolders(join(job.target, "mail.zip"), scratch), added);
    rmSync(scratch, { recursive: true });
    return content;
  };

  /** Undefined when all is right. */
  const check = async (
    work: Work,
    tool: Tool,
    job: Job,
    user: string | undefined,
    stdout: string,
  ): Promise<{ wrong?: string; remark?: string }> => {
    if (tool.proves === "nothing") return {};
    const hasNew = work.moment === "new";
    if (tool.proves === "bytes") {
      const size = settings.size(work.profile);
      const least = size.messages === 1 ? size.bytes : (size.messages * size.bytes) / 2;
      return Number(stdout) >= least ? {} : { wrong: `only ${stdout.trim()} octets were read` };
    }
    const content = await foundBy(job, user, []);
    const want = expected(work.profile, hasNew, []);
    const wrong = difference(want, content);
    const heap = String(content.folderSizes) !== String(want.folderSizes);
    const remark = heap && work.route !== "mbox-imap" ? { remark: "folders in one heap" } : {};
    if (wrong === undefined) return remark;
    if (tool.adds === undefined) return { wrong };
    const again = difference(expected(work.profile, hasNew, tool.adds), await foundBy(job, user, tool.adds));
    return again === undefined ? { remark: `adds a header (${tool.adds.join(", ")})` } : { wrong: again };
  };

  return {
    async measure(work, tools) {
      const { profile, route, moment, line } = work;
      const source = moment === "new" ? `new-${++serial}` : profile;
      const mbox = join(place.root, "mail.mbox");
      const isSplit = route === "mbox-split";
      if (!isSplit) await seedOnce(source, profile);
      if (isSplit) settings.progress("writing the mbox");
      const written =
        isSplit || route === "mbox-imap" ? writeMbox(mbox, profile, settings.size(profile), isSplit) : undefined;
      const rows = tools
        .filter((tool) => tool.does(route, moment, line))
        .map((tool) => ({
          tool,
          costs: [] as (Cost | undefined)[],
          remarks: new Set<string>(),
          isOver: false,
          moreThan: undefined as number | undefined,
        }));

      const prepare = async (tool: Tool): Promise<{ job: Job; user: string | undefined; base: string }> => {
        const base = join(place.root, `job-${++serial}`);
        for (const name of ["target", "state"]) mkdirSync(join(base, name), { recursive: true });
        const user = route === "imap-imap" || route === "mbox-imap" ? `target-${serial}` : undefined;
        if (user !== undefined) await place.addUser(user);
        const job: Job = {
          route,
          moment,
          source: isSplit ? NO_ACCOUNT : place.account(route === "pop3-maildir" ? "pop3" : "imap", source, line),
          ...(user === undefined ? {} : { account: place.account("imap", user, line) }),
          target: join(base, "target"),
          state: join(base, "state"),
          mbox,
          caFile: place.caFile,
        };
        if (tool.kind === "floor" && tool.proves === "mail") mkdirSync(job.target, { recursive: true });
        return { job, user, base };
      };
      const clear = (base: string, user: string | undefined): void => {
        rmSync(base, { recursive: true, force: true, maxRetries: 5 });
        if (user !== undefined) place.removeUser(user);
      };

      // For later runs: everybody copies once, in his own place, as fast as the line allows.
      const filled = new Map<Tool, Awaited<ReturnType<typeof prepare>>>();
      if (moment !== "first") {
        place.delay(0);
        for (const row of rows) {
          const prepared = await prepare(row.tool);
          filled.set(row.tool, prepared);
          if (row.tool.kind === "floor") continue;
          settings.progress(`${work.name}: ${row.tool.name} copies everything first`);
          const outcome = await measure(row.tool.command(prepared.job), prepared.base, settings.limitSeconds);
          if (outcome.ended !== "well") {
            row.isOver = true;
            row.remarks.add(outcome.ended === "late" ? "the first copy took too long" : outcome.why);
          } else if (moment === "new") copy(prepared.base, `${prepared.base}.filled`);
        }
        if (moment === "new") await place.deliver(source, newMail(profile, settings.size(profile)));
        await delay(SETTLE_MS);
      }

      place.delay(line.rttMs);
      for (let round = 0; round < settings.runs; round++) {
        const reference = rows.find(({ tool }) => tool.kind === "mailferry");
        // Each round begins with another one, so that nobody always follows the same neighbour.
        for (const row of rows.map((_, index) => rows[(index + round) % rows.length])) {
          if (row === undefined || row.isOver) continue;
          const { tool, costs } = row;
          const { job, user, base } = filled.get(tool) ?? (await prepare(tool));
          if (moment === "new" && tool.kind !== "floor" && round > 0) {
            rmSync(base, { recursive: true });
            copy(`${base}.filled`, base);
          }
          const outcome = await measure(tool.command(job), base, settings.limitSeconds);
          const { wallSeconds } = outcome.cost;
          if (outcome.ended === "well") {
            const { wrong, remark } =
              isSplit && tool.kind !== "floor"
                ? { wrong: written?.difference(outcome.stdout), remark: undefined }
                : await check(work, tool, job, user, outcome.stdout);
            if (remark !== undefined) row.remarks.add(remark);
            if (wrong !== undefined) row.remarks.add(`WRONG: ${wrong}`);
            costs[round] = wrong === undefined ? outcome.cost : undefined;
          } else if (outcome.ended === "late") {
            row.remarks.add(`ended after ${settings.limitSeconds} s`);
            row.moreThan = settings.limitSeconds;
            row.isOver = true;
          } else row.remarks.add(`FAILED: ${outcome.why}`);
          const said = outcome.ended === "well" && costs[round] !== undefined ? "" : `  ${[...row.remarks].join("; ")}`;
          settings.progress(
            `${work.name}: ${round + 1}/${settings.runs} ${tool.name} ${wallSeconds.toFixed(2)} s${said}`,
          );
          const ten =
            10 * (reference?.costs.find((cost) => cost !== undefined)?.wallSeconds ?? Number.POSITIVE_INFINITY);
          if (wallSeconds > settings.patienceSeconds && wallSeconds > ten) row.isOver = true;
          if (moment === "first") clear(base, user);
        }
      }
      for (const { base, user } of filled.values()) {
        clear(base, user);
        rmSync(`${base}.filled`, { recursive: true, force: true });
      }
      if (moment === "new") place.removeUser(source);
      rmSync(mbox, { force: true });
      return rows.map(({ tool, costs, remarks, moreThan }) => ({
        tool: tool.name,
        kind: tool.kind,
        costs: Array.from({ length: settings.runs }, (_, round) => costs[round]),
        ...(moreThan === undefined ? {} : { moreThan }),
        remarks: [...remarks],
      }));
    },
  };
}

/** With its times and links: they are what a synchroniser goes by. */
function copy(from: string, to: string): void {
  execFileSync("cp", ["-a", from, to]);
}

function isZip({ target }: Job): boolean {
  return execFileSync("ls", [target], { encoding: "utf8" }).includes("mail.zip");
}

/** Whole folders, in memory. */
function groupByFolder(
  mail: Iterable<Seed>,
  later: Iterable<Seed>,
  folders: Map<string, Buffer[]>,
): Iterable<Iterable<Buffer>> {
  for (const seeds of [mail, later])
    for (const { folder, bytes } of seeds) {
      const name = JSON.stringify(folder);
      const held = folders.get(name) ?? [];
      held.push(Buffer.from(bytes));
      folders.set(name, held);
    }
  return folders.values();
}
