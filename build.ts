// `npm run build`: the library as separate modules with their types, and the command as a bundle of a few files with what V8 compiled
// of them, which starts in a third of the time: Node resolves, reads and compiles some 500 small modules otherwise.

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Metafile, type Plugin } from "esbuild";

const root = fileURLToPath(new URL(".", import.meta.url));

/** Compiles src into `directory`; the command's main file is `bundle/main.js` there. Throws when types are wrong and asked for. */
export async function buildInto(directory: string, demandsTypes = true): Promise<void> {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const types = demandsTypes ? [] : ["--noCheck"];
  execFileSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json"), "--outDir", directory, ...types], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  // Chunks are named by their content: those of an earlier build would stay for ever.
  rmSync(join(directory, "bundle"), { recursive: true, force: true });
  const shared = {
    outdir: join(directory, "bundle"),
    bundle: true,
    format: "cjs",
    platform: "node",
    target: "node20.19",
    legalComments: "none",
    // Half as much to read and to hold. Names and lines stay, for stack traces.
    minifyWhitespace: true,
    lineLimit: 120,
    metafile: true,
    absWorkingDir: root,
    logLevel: "warning",
  } as const;
  const cli = join(directory, "cli");
  const { metafile: starting } = await build({
    ...shared,
    entryPoints: { main: join(cli, "bundled.js"), [WARM]: join(cli, "warm.js") },
  });
  // One file of ours: Node looks up, reads and compiles each file by itself, and a run needed some fifty of them.
  const { metafile: ours } = await build({
    ...shared,
    entryPoints: { program: join(cli, "process.js") },
    outExtension: { ".js": ".cjs" },
    banner: { js: `${WRAPPER}const bundleUrl = require("node:url").pathToFileURL(__filename).href;` },
    footer: { js: "})" },
    define: { "import.meta.url": "bundleUrl" },
    supported: { "dynamic-import": false },
    plugins: [apart],
  });
  const { metafile: packages } = await build({
    ...shared,
    entryPoints: Object.fromEntries(APART.map((name) => [name, name])),
    outExtension: { ".js": ".cjs" },
    banner: { js: WRAPPER },
    footer: { js: "})" },
    plugins: [leaveOut],
  });
  const bundle = join(directory, "bundle");
  // The package's modules are ECMAScript's.
  writeFileSync(join(bundle, "package.json"), `${JSON.stringify({ type: "commonjs" })}\n`);
  writeFileSync(join(bundle, "LICENSES.txt"), licenses({ ...starting.inputs, ...ours.inputs, ...packages.inputs }));
  const warm = join(bundle, `${WARM}.js`);
  execFileSync(process.execPath, [warm], { stdio: "pipe", env: { ...process.env, NODE_OPTIONS: "" } });
  rmSync(warm);
}

/** What Node puts around a file of CommonJS; compiled.ts calls what is in it. */
const WRAPPER = "(function (exports, require, module, __filename, __dirname) {\n";

/** Runs the command once, so that V8 compiles what a run needs; no part of what is shipped. */
const WARM = "warm";

/** Packages that most runs do without: each is a file beside ours, read when what needs it is. */
const APART = ["archiver", "cli-progress", "fzstd", "imapflow", "mailparser", "yauzl"];
const apart: Plugin = {
  name: "apart",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: new RegExp(`^(?:${APART.join("|")})$`) }, ({ path }) => ({ path, namespace: "apart" }));
    onLoad({ filter: /^/, namespace: "apart" }, ({ path }) => ({
      contents: `module.exports = require("./${path}.cjs");`,
    }));
    onResolve({ filter: /\.cjs$/, namespace: "apart" }, ({ path }) => ({ path, external: true }));
  },
};

/**
 * What imapflow loads for things that we never ask it for (its own logger, SOCKS, decoding of headers, bodies and names): a third
 * of the time and of the memory that the command takes to start (docs/decisions/0007). Whoever uses it all the same is told.
 */
const UNUSED = /^(?:pino|socks|libmime|libqp|libbase64|iconv-lite|encoding-japanese|@zone-eu\/mailsplit(?:\/.*)?)$/;
const leaveOut: Plugin = {
  name: "leave-out",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: UNUSED }, ({ path, importer }) =>
      importer.includes(join("node_modules", "imapflow", "dist")) ? { path, namespace: "left-out" } : undefined,
    );
    onLoad({ filter: /^/, namespace: "left-out" }, ({ path }) => ({
      contents: `
        const use = () => { throw new Error("the bundle has no " + ${JSON.stringify(path)}); };
        const none = new Proxy(function () {}, { get: use, apply: use, construct: use });
        export default none;
        export { none as SocksClient, none as Headers };`,
    }));
  },
};

/** What the packages inside of the bundle ask for: their licences go along. */
function licenses(inputs: Metafile["inputs"]): string {
  const inside = new Set<string>();
  for (const path of Object.keys(inputs)) {
    const [, name] = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^./][^/]*)\/(?!.*node_modules\/)/.exec(path) ?? [];
    if (name !== undefined)
      inside.add(path.slice(0, path.lastIndexOf(`node_modules/${name}`)) + join("node_modules", name));
  }
  return [...inside]
    .sort()
    .map(licenseOf)
    .join(`\n${"-".repeat(80)}\n\n`);
}

function licenseOf(folder: string): string {
  const directory = join(root, folder.split("/").join(sep));
  const { name, version, license } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as {
    readonly name: string;
    readonly version: string;
    readonly license?: string;
  };
  const file = readdirSync(directory).find((entry) => /^licen[cs]e(?:\.|$|-)/i.test(entry));
  const text =
    file !== undefined && existsSync(join(directory, file)) ? readFileSync(join(directory, file), "utf8") : "";
  return `${name} ${version} (${license ?? "see its package"})\n\n${text.trim()}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildInto(join(root, "dist"));
