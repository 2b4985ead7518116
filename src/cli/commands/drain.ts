// mailferry drain <source> <archive> [--leave | --leave-for 14d]

import { isAccount, parseEndpoint } from "../../endpoints.ts";
import { configError } from "../../mail/errors.ts";
import { carry } from "../carry.ts";
import type { ExitCode } from "../exit.ts";
import { isOn, leaveForOf } from "../options.ts";
import { placeOf, type Session } from "../session.ts";

export async function drain(session: Session): Promise<ExitCode> {
  const { args } = session;
  const source = parseEndpoint(placeOf(args, "source"), "source");
  const target = parseEndpoint(placeOf(args, "archive"), "target");
  const isLeft = isOn(args, "leave");
  const olderThanSeconds = leaveForOf(args);
  if (isLeft && olderThanSeconds !== undefined)
    throw configError("--leave keeps everything, and --leave-for only what is new", "Give one of them.");
  if (!isAccount(source))
    throw configError(`drain empties a maildrop, and ${source.kind} files are only read`, "Use: mailferry backup.");
  if (isAccount(target))
    throw configError("drain writes an archive, and its target is an account", "Use: mailferry migrate --move.");
  const remove = isLeft ? {} : { remove: olderThanSeconds === undefined ? {} : { olderThanSeconds } };
  return carry({ verb: "drain", source, target, ...remove }, session);
}
