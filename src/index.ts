// The library's face: open endpoints, run, verify, and the types of what they give. Nothing else is public.

import {
  type EndpointContext,
  openSink as openSinkEndpoint,
  openSource as openSourceEndpoint,
  parseEndpoint,
} from "./endpoints.ts";
import type { Sink } from "./sinks/sink.ts";
import type { Source } from "./sources/source.ts";

export type { EndpointContext } from "./endpoints.ts";
export { type ErrorCode, MailError, type MailErrorDetails } from "./mail/errors.ts";
export type { Fidelity, Loss } from "./mail/fidelity.ts";
export type { ContentKey } from "./mail/key.ts";
export type { LeftOut } from "./mail/left-out.ts";
export type {
  Entry,
  Folder,
  FolderPath,
  Origin,
  Received,
  SpecialUse,
  SystemFlag,
  TraitChange,
  Traits,
} from "./mail/model.ts";
export type { MostRemoved, RemoveOptions } from "./migrate/context.ts";
export type { Balance, Disposition, FolderSummary, KeptWhy, MigrationEvent, RunSummary } from "./migrate/events.ts";
export { type Run, type RunOptions, run } from "./migrate/run.ts";
export {
  type VerifyFinding,
  type VerifyFolderResult,
  type VerifyOptions,
  type VerifySummary,
  verify,
} from "./migrate/verify.ts";
export type { Copy, FolderPlan, Receipt, Sink, SinkFolder, Stored } from "./sinks/sink.ts";
export type { Incoming, ReadOptions, Slice, Source } from "./sources/source.ts";

/**
 * Opens an endpoint, written as on the command line (`imaps://me@host`, `maildir:./backup`), for reading. Dispose it with
 * `await using`. Throws MailError auth, connection or config.
 */
export async function openSource(endpoint: string, context: EndpointContext, signal: AbortSignal): Promise<Source> {
  return openSourceEndpoint(parseEndpoint(endpoint, "source"), context, signal);
}

/**
 * Opens an endpoint for writing. `job` names this very job: a finished `FILE.zip` is accepted again only for the job that wrote
 * it. Throws like openSource.
 */
export async function openSink(
  endpoint: string,
  context: EndpointContext & { readonly job?: string },
  signal: AbortSignal,
): Promise<Sink> {
  return openSinkEndpoint(parseEndpoint(endpoint, "target"), { ...context, job: context.job ?? "library" }, signal);
}
