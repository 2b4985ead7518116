// mailferry, as it is built: dist/bundle/main.js.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Account } from "../floors/socket.ts";
import { PASSWORD } from "../place.ts";
import type { Tool } from "./tool.ts";

const main = fileURLToPath(new URL("../../dist/bundle/main.js", import.meta.url));
const split = fileURLToPath(new URL("../results/floors/split.js", import.meta.url));

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

export const mailferry = {
  name: "mailferry",
  kind: "mailferry",
  does: () => true,
  command: (job) => ({
    program: process.execPath,
    // No command only reads an mbox: its source and the staging of messages, by a program of the bench.
    args: job.route === "mbox-split" ? [split, job.mbox] : [main, ...words(job), "-q"],
    env: { MAILFERRY_SOURCE_PASSWORD: PASSWORD, MAILFERRY_TARGET_PASSWORD: PASSWORD, XDG_STATE_HOME: job.state },
  }),
} satisfies Tool;
