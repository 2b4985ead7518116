// The floors: what Node and a raw socket need for the same bytes, when nothing is parsed, proved, recorded or synced.

import { fileURLToPath } from "node:url";
import type { Orders } from "../floors/socket.ts";
import type { Moment, Route, Tool } from "./tool.ts";

function floor(name: string, proves: "mail" | "bytes" | "nothing", does: Tool["does"]): Tool {
  return {
    name,
    kind: "floor",
    proves,
    does,
    command({ source, account, target, mbox, route }) {
      const path = route === "mbox-imap" || route === "mbox-split" ? mbox : target;
      const orders: Orders = { source, path, ...(account === undefined ? {} : { target: account }) };
      const program = fileURLToPath(new URL(`../results/floors/${name.replace("floor-", "")}.js`, import.meta.url));
      return { program: process.execPath, args: [program, JSON.stringify(orders)] };
    },
  };
}

/** What Node itself takes, and Node with the IMAP library: nothing that uses them can be faster. */
function start(name: string, code: string): Tool {
  return {
    name,
    kind: "floor",
    proves: "nothing",
    does: (_, moment) => moment === "unchanged",
    // The library is found from the place of this repository.
    command: () => ({ program: process.execPath, args: ["--input-type=module", "-e", code] }),
  };
}

const archive = (route: Route): boolean => route === "imap-maildir" || route === "imap-mboxzip";
const first = (moment: Moment): boolean => moment === "first";

export const FLOORS: readonly Tool[] = [
  floor("floor-read", "bytes", (route, moment) => archive(route) && first(moment)),
  floor("floor-files", "mail", (route, moment) => archive(route) && first(moment)),
  floor("floor-copy", "mail", (route, moment) => route === "imap-imap" && first(moment)),
  floor("floor-append", "mail", (route, moment, { asks }) => route === "mbox-imap" && first(moment) && asks !== true),
  floor("floor-ask", "mail", (route, moment, { asks }) => route === "mbox-imap" && first(moment) && asks === true),
  floor("floor-hash", "bytes", (route) => route === "mbox-split"),
  floor("floor-pop", "bytes", (route, moment) => route === "pop3-maildir" && first(moment)),
  floor("floor-status", "nothing", (_, moment) => !first(moment)),
  start("node-start", "0"),
  start("import-imapflow", `import(${JSON.stringify(import.meta.resolve("imapflow"))})`),
];
