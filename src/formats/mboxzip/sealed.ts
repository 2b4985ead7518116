// A finished FILE.zip, read again by the job that wrote it: what it holds, for proving and deleting at the source.

import { tmpdir } from "node:os";
import type { FolderPath } from "../../mail/model.ts";
import { openZip } from "../zip/read.ts";
import { type Catalogue, type CatalogueMessage, openCatalogue } from "./catalogue.ts";
import { formatRef, type Place, placeOf } from "./ref.ts";
import { manifestHead, manifestOf, zipPool, zipShelf } from "./zips.ts";

export interface SealedArchive extends AsyncDisposable {
  messages(path: FolderPath, signal: AbortSignal): AsyncGenerator<CatalogueMessage & { readonly ref: string }>;
  stored(place: Place, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** Throws MailError malformed, config or io. */
export async function openSealed(file: string): Promise<SealedArchive> {
  const catalogue: Catalogue = await openCatalogue(tmpdir());
  let number: number;
  try {
    await using zip = await openZip(file);
    number = (await manifestHead(zip)).header.zip;
    await catalogue.absorb(number, manifestOf(zip), 0);
  } catch (error) {
    await catalogue[Symbol.asyncDispose]();
    throw error;
  }
  const pool = zipPool((wanted) => (wanted === number ? file : undefined));
  const shelf = zipShelf(pool);
  return {
    async *messages(path, signal) {
      for await (const message of catalogue.messages(path)) {
        signal.throwIfAborted();
        yield { ...message, ref: formatRef(placeOf(message.zip, message.record)) };
      }
    },
    stored: (place, signal) => shelf.stored(place, signal),
    async [Symbol.asyncDispose]() {
      await shelf[Symbol.asyncDispose]();
      await pool[Symbol.asyncDispose]();
      await catalogue[Symbol.asyncDispose]();
    },
  };
}
