// Everything that is measured: the one list to extend.

import { doveadm } from "./doveadm.ts";
import { FLOORS } from "./floors.ts";
import { imapsync } from "./imapsync.ts";
import { mailferry } from "./mailferry.ts";
import { mbsync } from "./mbsync.ts";
import { offlineimap } from "./offlineimap.ts";
import { fetchmail, getmail, mpop } from "./pop.ts";
import type { Tool } from "./tool.ts";

export const PEERS: readonly Tool[] = [mbsync, doveadm, mpop, fetchmail, getmail, offlineimap, imapsync];
export const TOOLS: readonly Tool[] = [...FLOORS, mailferry, ...PEERS];
