// `npm run assemble`: WebAssembly text to the module that holds its octets. What it makes is kept beside the text, so that neither
// a build nor a test needs it; a test sees that the two agree.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import wabt from "wabt";

const TEXT = fileURLToPath(new URL("src/mail/fold.wat", import.meta.url));
const MODULE = fileURLToPath(new URL("src/mail/fold-code.ts", import.meta.url));

/** The assembled octets. Throws where the text is no WebAssembly. */
export async function assemble(): Promise<Uint8Array> {
  const { parseWat } = await wabt();
  const parsed = parseWat(TEXT, readFileSync(TEXT), { simd: true, bulk_memory: true });
  try {
    parsed.validate();
    return parsed.toBinary({}).buffer;
  } finally {
    parsed.destroy();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lines = Buffer.from(await assemble())
    .toString("base64")
    .match(/.{1,110}/g);
  const quoted = (lines ?? []).map((line) => `  "${line}",`);
  writeFileSync(
    MODULE,
    `// Made by \`npm run assemble\` of fold.wat; not to be changed by hand.\n\n/** WebAssembly, as base64. */\nexport const FOLD_CODE = [\n${quoted.join("\n")}\n].join("");\n`,
  );
}
