// Where a declaration stands in a TypeScript source that Biome has formatted: found by the shape of its first line, and its end by
// the indentation. Who asks for what is not there, or is there twice, is told.

export interface Declaration {
  /** Its name behind those of what it stands in: `Class.method`, `outer.inner`. */
  readonly path: string;
  /** Offsets in the source, the end behind its last character. */
  readonly start: number;
  readonly end: number;
}

const MODIFIERS =
  "(?:(?:export|default|declare|abstract|public|private|protected|static|override|readonly|accessor|async) )*";
const NAME = String.raw`[\w$]+`;
const MEMBER = String.raw`(#?[\w$]+|\[[\w.]+\])`;

const NAMED = new RegExp(`^${MODIFIERS}(?:function\\*? |class |interface |type |namespace )(${NAME})`);
const VARIABLE = new RegExp(`^${MODIFIERS}(?:const|let|var) (${NAME})`);
/** What stands before a function that is a value: of a variable, or of an object's property. */
const ASSIGNED = new RegExp(`^${MODIFIERS}(?:const|let|var) ${NAME}(?:: .+?)? = `);
const PROPERTY = new RegExp(`^${MEMBER}: `);
const METHOD = new RegExp(`^${MODIFIERS}(?:get |set )?\\*?${MEMBER}(?:<.*>)?\\(`);
/** The last line of a method's head, or a head in one line. */
const OPENS_BODY = /\)(?:: .+)? \{(?:\},?)?$/;
const FIELD = new RegExp(`^${MODIFIERS}${MEMBER}[?!]?(?:: | = |;$)`);

interface Found extends Declaration {
  readonly isClass: boolean;
  readonly indent: number;
}

const indentOf = (line: string): number => line.length - line.trimStart().length;

/** The line behind the last one of what begins at `first`: all that stands deeper, and what closes a bracket at its own depth. */
function lineAfter(lines: readonly string[], first: number): number {
  const indent = indentOf(lines[first] ?? "");
  let after = first + 1;
  for (let at = first + 1; at < lines.length; at++) {
    const line = lines[at] ?? "";
    if (line === "") continue;
    if (indentOf(line) < indent || (indentOf(line) === indent && !/^[)}\]`]/.test(line.trimStart()))) break;
    after = at + 1;
  }
  return after;
}

/** True for the text of a function that is a value: `(one) => …`, `async one => …`, `<T>(one: T): T => …`, `function …`. */
function isFunction(text: string): boolean {
  const value = text.replace(/^async /, "");
  if (/^(?:function\b|class\b|[\w$]+ =>)/.test(value)) return true;
  const open = /^(?:<.*?>)?\(/.exec(value)?.[0].length;
  if (open === undefined) return false;
  let depth = 1;
  let at = open;
  for (; at < value.length && depth > 0; at++) depth += value[at] === "(" ? 1 : value[at] === ")" ? -1 : 0;
  return /^(?:: [^=]+)? =>/.test(value.slice(at));
}

/** Where a line stands. */
type Place = "top" | "class" | "braces" | "other";

/** The name that the text from a line's first character on declares, if it does. */
function nameIn(text: string, place: Place): string | undefined {
  const [line = ""] = text.split("\n", 1);
  const named = NAMED.exec(line)?.[1];
  // The heads of an overloaded function come before it, without a body.
  if (named !== undefined) return /\bfunction\b/.test(line) && text.endsWith(";") ? undefined : named;
  const variable = VARIABLE.exec(line)?.[1];
  if (variable !== undefined) {
    const [before] = ASSIGNED.exec(text) ?? [];
    return place === "top" || (before !== undefined && isFunction(text.slice(before.length))) ? variable : undefined;
  }
  if (place === "top" || place === "other") return undefined;
  const method = METHOD.exec(line)?.[1];
  if (method !== undefined) {
    const head = text.split("\n").find((part, n) => (n === 0 ? / \{(?:\},?)?$/ : /^\s*\)/).test(part));
    return head !== undefined && OPENS_BODY.test(head) ? method : undefined;
  }
  if (place === "class") return FIELD.exec(line)?.[1];
  const [before, property] = PROPERTY.exec(line) ?? [];
  return before !== undefined && isFunction(text.slice(before.length)) && !text.endsWith(";") ? property : undefined;
}

/** All of them, in the order of their first lines. */
export function declarationsIn(source: string): readonly Declaration[] {
  const lines = source.split("\n");
  const found: Found[] = [];
  const open: Found[] = [];
  /** The last line of each depth: what stands deeper, below it, stands in it. */
  const above: string[] = [];
  let offset = 0;
  for (const [at, line] of lines.entries()) {
    while ((open.at(-1)?.end ?? offset) < offset) open.pop();
    const indent = indentOf(line);
    if (line !== "") {
      above.length = indent;
      above[indent] = line;
    }
    const around = open.at(-1);
    const text = lines.slice(at, lineAfter(lines, at)).join("\n");
    const isMember = around?.isClass === true && indent === around.indent + 2;
    const isInBraces =
      above
        .slice(0, indent)
        .findLast((one) => one !== undefined)
        ?.endsWith("{") === true;
    const place = indent === 0 ? "top" : isMember ? "class" : isInBraces ? "braces" : "other";
    const name = nameIn(text.slice(indent), place);
    if (name !== undefined) {
      const declaration = {
        path: around === undefined ? name : `${around.path}.${name}`,
        start: offset,
        end: offset + text.length,
        isClass: /^[\w ]*\bclass\b|^[^(]* = class\b/.test(line),
        indent,
      };
      found.push(declaration);
      open.push(declaration);
    }
    offset += line.length + 1;
  }
  return found;
}

/**
 * The one declaration that is called so, or whose path ends so: `close` where only one thing in the file has that name, else
 * `Reader.close`. Throws if there is none, or more than one.
 */
export function declarationOf(source: string, name: string): Declaration {
  const all = declarationsIn(source);
  const exact = all.filter(({ path }) => path === name);
  const meant = exact.length > 0 ? exact : all.filter(({ path }) => path.endsWith(`.${name}`));
  const [one, another] = meant;
  if (one === undefined) throw new Error(`nothing is called ${name} there`);
  if (another !== undefined)
    throw new Error(`${meant.length} are called ${name} there: ${meant.map(({ path }) => path).join(", ")}`);
  return one;
}
