// The mboxzip sink: the shared promises in both of its shapes, and what is its own.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import { openMboxZipSource } from "../../src/sources/mbox-zip.ts";
import { sinkConformance } from "../conformance/sink.ts";

const NEVER = new AbortController().signal;
const NO_REMOVE = { "says not-found for a copy that is gone": "an archive is never deleted from" };

async function place(): Promise<{ root: string; dispose(): Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), "mailferry-mboxzip-"));
  return { root, dispose: () => rm(root, { recursive: true, force: true }) };
}

for (const store of [false, true]) {
  const how = store ? "stored" : "deflated";
  sinkConformance(`FILE.zip, ${how},`, {
    async make() {
      const { root, dispose } = await place();
      const path = join(root, "mail.zip");
      return {
        sink: await openMboxZipSink({ path, job: "job", store }, NEVER),
        reopenSink: () => openMboxZipSink({ path, job: "job", store }, NEVER),
        asSource: () => openMboxZipSource({ path }, NEVER),
        dispose,
      };
    },
    skip: {
      ...NO_REMOVE,
      "is the same for a later run: generation, copies, bytes": "a finished file is not opened again",
    },
  });
  sinkConformance(`an archive that grows, ${how},`, {
    async make() {
      const { root, dispose } = await place();
      const path = join(root, "archive");
      return {
        sink: await openMboxZipSink({ path, job: "job", store }, NEVER),
        reopenSink: () => openMboxZipSink({ path, job: "job", store }, NEVER),
        asSource: () => openMboxZipSource({ path }, NEVER),
        dispose,
      };
    },
    skip: NO_REMOVE,
  });
}
