// A question on the terminal whose answer is not shown.

import { plain } from "./text.ts";

/** Without a terminal nothing is asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** What a hidden line became after some keys. */
interface Line {
  readonly text: string;
  readonly state: "open" | "done" | "interrupted";
}

/** Applies typed or pasted characters to a hidden line: Enter ends it, Backspace and Ctrl-U take back, Ctrl-C gives up. */
export function applyKeys(text: string, keys: string): Line {
  let line = text;
  for (const key of keys) {
    if (key === "\r" || key === "\n" || key === "\u0004") return { text: line, state: "done" };
    if (key === "\u0003") return { text: "", state: "interrupted" };
    if (key === "\u007f" || key === "\b") line = [...line].slice(0, -1).join("");
    else if (key === "\u0015") line = "";
    else if (key >= " ") line += key;
  }
  return { text: line, state: "open" };
}

/** Asks on stderr for yes or no; anything but yes is no, and so is the signal. */
export function askYes(question: string, signal: AbortSignal): Promise<boolean> {
  const { stdin, stderr } = process;
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const finish = (answer: string): void => {
      stdin.off("data", onData).off("end", onEnd).pause();
      signal.removeEventListener("abort", onEnd);
      resolve(/^\s*y(es)?\s*$/i.test(answer));
    };
    const onData = (line: string): void => finish(line);
    const onEnd = (): void => finish("");
    stderr.write(plain(question));
    stdin.setEncoding("utf8").on("data", onData).on("end", onEnd).resume();
    signal.addEventListener("abort", onEnd, { once: true });
  });
}

/** Asks on stderr and reads from the terminal without echo. Rejects with an AbortError on Ctrl-C and when the signal aborts. */
export function askHidden(question: string, signal: AbortSignal): Promise<string> {
  const { stdin, stderr } = process;
  return new Promise((resolve, reject) => {
    let text = "";
    let isOpen = true;
    const endLine = (): void => {
      if (isOpen) stderr.write("\n");
      isOpen = false;
    };
    const finish = (settle: () => void): void => {
      stdin.off("data", onData);
      signal.removeEventListener("abort", onAbort);
      stdin.setRawMode(false);
      stdin.pause();
      endLine();
      settle();
    };
    const onAbort = (): void => finish(() => reject(new DOMException("interrupted", "AbortError")));
    const onData = (keys: string): void => {
      const line = applyKeys(text, keys);
      text = line.text;
      if (line.state === "done") finish(() => resolve(text));
      // In raw mode Ctrl-C is a character: it is given back its meaning.
      else if (line.state === "interrupted") {
        endLine();
        process.kill(process.pid, "SIGINT");
      }
    };
    if (signal.aborted) {
      reject(new DOMException("interrupted", "AbortError"));
      return;
    }
    // Before the question: whoever answers at once, as a program does, would see the first keys.
    stdin.setRawMode(true);
    stderr.write(plain(question));
    stdin.setEncoding("utf8");
    stdin.on("data", onData);
    signal.addEventListener("abort", onAbort, { once: true });
    stdin.resume();
  });
}
