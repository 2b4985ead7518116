// Preloaded into a command under test (`node --import`): a clock of the day that is wrong, and jumps while the command runs.
//
// MAILFERRY_CLOCK: three numbers: the seconds that it is wrong by from the beginning, the seconds that are added later, and
// after how many looks at the clock that happens.

const [seconds = 0, jumpSeconds = 0, afterLooks = 0] = (process.env.MAILFERRY_CLOCK ?? "").split(" ").map(Number);
const RealDate = Date;
let looks = 0;

function now() {
  const jump = ++looks > afterLooks ? jumpSeconds : 0;
  return RealDate.now() + (seconds + jump) * 1000;
}

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
  get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
});
