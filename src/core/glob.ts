// Globs over folder paths: "/" joins names, "*" and "?" stay inside one name, "**" spans any number of names (also none).

type Segment = "**" | RegExp;

/** True for a path that any of the globs matches. `\` takes the next character literally. INBOX is met whatever its case. */
export function folderMatcher(globs: readonly string[]): (path: readonly string[]) => boolean {
  const patterns = globs.map(compile);
  return (path) => patterns.some((segments) => matches(segments, 0, path, 0));
}

/** True for a path below which a path may lie that any of the globs matches. */
export function mayMatchBelow(globs: readonly string[]): (path: readonly string[]) => boolean {
  const patterns = globs.map(compile);
  return (path) =>
    patterns.some((segments) => {
      for (const [i, name] of path.entries()) {
        const segment = segments[i];
        if (segment === "**") return true;
        if (segment === undefined || !segment.test(name)) return false;
      }
      return segments.length > path.length;
    });
}

/** The glob for a path as showPath writes it: what stands there is meant as it stands. */
export function literalGlob(shown: string): string {
  return shown.replace(/[*?]/g, "\\$&");
}

function compile(glob: string): readonly Segment[] {
  const parts: string[] = [];
  let part = "";
  for (let i = 0; i < glob.length; i++) {
    const char = glob.charAt(i);
    if (char === "\\" && i + 1 < glob.length) part += char + glob.charAt(++i);
    else if (char === "/") {
      parts.push(part);
      part = "";
    } else part += char;
  }
  parts.push(part);
  return parts.filter((text) => text !== "").map((text) => (text === "**" ? text : nameExpression(text)));
}

function nameExpression(text: string): RegExp {
  let source = "";
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === "\\" && i + 1 < text.length) source += literal(text.charAt(++i));
    else if (char === "*") source += ".*";
    else if (char === "?") source += ".";
    else source += literal(char);
  }
  return new RegExp(`^${source}$`, text.toUpperCase() === "INBOX" ? "isu" : "su");
}

function literal(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/]/, "\\$&");
}

function matches(segments: readonly Segment[], s: number, path: readonly string[], p: number): boolean {
  const segment = segments[s];
  if (segment === undefined) return p === path.length;
  if (segment === "**") {
    for (let next = p; next <= path.length; next++) if (matches(segments, s + 1, path, next)) return true;
    return false;
  }
  const name = path[p];
  return name !== undefined && segment.test(name) && matches(segments, s + 1, path, p + 1);
}
