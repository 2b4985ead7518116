// mailferry, as it is built: dist/bundle/main.js.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Account } from "../floors/socket.ts";
import { PASSWORD } from "../place.ts";
import type { Tool } from "./tool.ts";

const HERE = fileURLToPath(new URL("../..", import.meta.url));

function url(kind: "imap" | "pop3", { port, user, ca }: Account): string {
  const place = `${user}@localhost:${port}`;
  return ca === undefined ? `${kind}://${place}?tls=none` : `${kind}s://${place}?ca=${encodeURIComponent(ca)}`;
}

/** The arguments that do the job's route. */
function words(job: Parameters<Tool["command"]>[0]): readonly string[] {
  const target = job.account === undefined ? "" : url("imap", job.account);
  switch (job.route) {
    case "imap-maildir":
      return ["backup", url("imap", job.source), `maildir:${join(job.target, "mail")}`];
    case "imap-mboxzip":
      return ["backup", url("imap", job.source), `mboxzip:${join(job.target, "mail.zip")}`];
    case "imap-imap":
      return ["migrate", url("imap", job.source), target];
    case "pop3-maildir":
      return ["drain", "--leave", url("pop3", job.source), `maildir:${join(job.target, "mail")}`];
    case "mbox-imap":
      return ["restore", `mbox:${job.mbox}`, target, "--map", "mail=INBOX"];
    case "mbox-split":
      return [];
  }
}

/** The mailferry that was built in this checkout. */
function builtIn(directory: string): Pick<Tool, "does" | "command"> {
  const main = join(directory, "dist", "bundle", "main.js");
  const split = join(directory, "bench", "results", "floors", "split.js");
  return {
    does: (route) => existsSync(route === "mbox-split" ? split : main),
    command: (job) => ({
      program: process.execPath,
      // No command only reads an mbox: its source and the staging of messages, by a program of the bench.
      args: job.route === "mbox-split" ? [split, job.mbox] : [main, ...words(job), "-q"],
      env: { MAILFERRY_SOURCE_PASSWORD: PASSWORD, MAILFERRY_TARGET_PASSWORD: PASSWORD, XDG_STATE_HOME: job.state },
    }),
  };
}

export const mailferry: Tool = { name: "mailferry", kind: "mailferry", ...builtIn(HERE) };

/** Another form of it, built in a checkout of its own, to be compared with. */
export function otherForm(directory: string): Tool {
  return { name: OTHER, kind: "peer", ...builtIn(resolve(directory)) };
}

export const OTHER = "the other form";
