// No floor, but mailferry's own half of a restore: its mbox source, each message staged and named by its content key, no sink; in
// a process that is set up as the command's.

/** What is used of the built program; this file is compiled by itself. */
interface Body extends AsyncDisposable {
  readonly key: string;
}
interface Incoming {
  readonly content: AsyncIterable<Uint8Array>;
  readonly bytes?: Uint8Array;
}
interface Source {
  folders(signal: AbortSignal): AsyncIterable<object>;
  read(slice: { folder: object }, options: { want(): boolean; signal: AbortSignal }): AsyncIterable<Incoming>;
}
interface Sources {
  openMboxSource(options: { path: string }, signal: AbortSignal): Promise<Source>;
}
interface Bodies {
  stage(content: AsyncIterable<Uint8Array>, directory: string): Promise<Body>;
  stageBytes(bytes: Uint8Array, keepsFolded: boolean): Body;
}
interface Tuning {
  tuneProcess(): void;
}

const dist = new URL("../../../dist/", import.meta.url).href;
const { openMboxSource }: Sources = await import(`${dist}sources/mbox.js`);
const { stage, stageBytes }: Bodies = await import(`${dist}mail/body.js`);
const { tuneProcess }: Tuning = await import(`${dist}cli/tune.js`);
tuneProcess();
const [path = ""] = process.argv.slice(2);
const { signal } = new AbortController();
const source = await openMboxSource({ path }, signal);
let messages = 0;
// The same for the same messages in any order: keys are added up, by their first 48 bits.
let sum = 0;
for await (const folder of source.folders(signal))
  for await (const { content, bytes } of source.read({ folder }, { want: () => true, signal })) {
    await using body = bytes === undefined ? await stage(content, `${path}.staging`) : stageBytes(bytes, false);
    messages++;
    sum = (sum + Number.parseInt(body.key.slice(0, 12), 16)) % 2 ** 48;
  }
process.stdout.write(`${messages} ${sum}\n`);
