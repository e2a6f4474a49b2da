// Reads TypeScript by eye, not by grammar: tells code, comments and strings of a file apart.
//
// The house rules need no more than that, so they need no parser. Each view of a file has the
// length and the line breaks of the file, so a position in one view is a position in all.

/** A file as the rules see it. */
export type Source = { readonly path: string; readonly text: string };

/** Two views of one text: what is blank in one may stand in the other. */
export type Views = { readonly code: string; readonly comments: string };

export type Import = { readonly target: string; readonly line: number };

const regexBefore =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|throw|await|void))$/;

/** A run of characters none of which begins or ends anything. */
const plain = /[^/'"`{}]+/y;

const cache = new Map<string, Views>();

/** The views of a text, with comments and the insides of strings blanked out of `code`. */
export function views(text: string): Views {
  const known = cache.get(text);
  if (known !== undefined) return known;
  const made = split(text);
  cache.set(text, made);
  return made;
}

type Kind = 'code' | 'comment' | 'string';

function split(text: string): Views {
  let code = '';
  let comments = '';
  // One number per open `${`: the braces that are open inside it.
  const templates: number[] = [];
  let at = 0;

  const take = (end: number, kind: Kind): void => {
    const piece = text.slice(at, end);
    const blank = piece.replace(/[^\n]/g, ' ');
    code += kind === 'code' ? piece : kind === 'string' ? keepEnds(piece, blank) : blank;
    comments += kind === 'comment' ? piece : blank;
    at = end;
  };
  const template = (): void => {
    const end = endOfTemplate(text, at + 1);
    if (text[end - 1] === '{') templates.push(0);
    take(end, 'string');
  };

  while (at < text.length) {
    const two = text.slice(at, at + 2);
    const one = text[at] ?? '';
    const depth = templates.at(-1);
    if (two === '//' || (at === 0 && two === '#!'))
      take(orEnd(text, text.indexOf('\n', at)), 'comment');
    else if (two === '/*') take(orEnd(text, text.indexOf('*/', at + 2), 2), 'comment');
    else if (one === "'" || one === '"') take(endOfQuoted(text, at + 1, one), 'string');
    else if (one === '`') template();
    else if (one === '/' && regexBefore.test(code.trimEnd()))
      take(endOfRegex(text, at + 1), 'string');
    else if (one === '}' && depth === 0) {
      templates.pop();
      template();
    } else {
      if (depth !== undefined && one === '{') templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && one === '}') templates[templates.length - 1] = depth - 1;
      plain.lastIndex = at + 1;
      take(plain.test(text) ? plain.lastIndex : at + 1, 'code');
    }
  }
  return { code, comments };
}

function keepEnds(piece: string, blank: string): string {
  if (piece.length < 2) return piece;
  return (piece[0] ?? '') + blank.slice(1, -1) + (piece.at(-1) ?? '');
}

function orEnd(text: string, found: number, more = 0): number {
  return found < 0 ? text.length : found + more;
}

function endOfQuoted(text: string, from: number, quote: string): number {
  for (let i = from; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === quote) return i + 1;
    else if (text[i] === '\n') return i;
  }
  return text.length;
}

function endOfTemplate(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '`') return i + 1;
    else if (text[i] === '$' && text[i + 1] === '{') return i + 2;
  }
  return text.length;
}

function endOfRegex(text: string, from: number): number {
  let inClass = false;
  for (let i = from; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '[') inClass = true;
    else if (text[i] === ']') inClass = false;
    else if (text[i] === '/' && !inClass) return i + 1;
    else if (text[i] === '\n') return i;
  }
  return text.length;
}

/** The line number, from 1, of a position. */
export function lineAt(text: string, position: number): number {
  let line = 1;
  for (let i = text.indexOf('\n'); i >= 0 && i < position; i = text.indexOf('\n', i + 1)) line++;
  return line;
}

/** What a file imports, type imports and re-exports included; relative ones as paths from root. */
export function importsOf(source: Source): Import[] {
  const { code } = views(source.text);
  const found: Import[] = [];
  for (const match of code.matchAll(/\b(?:from|import)\s*\(?\s*(['"])/g)) {
    const start = match.index + match[0].length;
    const end = code.indexOf(match[1] ?? '', start);
    const target = resolve(source.path, source.text.slice(start, end));
    found.push({ target, line: lineAt(source.text, start) });
  }
  return found;
}

/** `./x.ts` as seen from a file, as a path from the root; any other name is left as it is. */
export function resolve(from: string, name: string): string {
  if (!name.startsWith('.')) return name;
  const parts = from.split('/').slice(0, -1);
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.' && part !== '') parts.push(part);
  }
  return parts.join('/');
}

export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

export function roomOf(path: string): string {
  const slash = path.indexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** The functions of a file with the line of their opening brace and how many lines they span. */
export function functionsOf(text: string): { line: number; lines: number; head: string }[] {
  const { code } = views(text);
  const found: { line: number; lines: number; head: string }[] = [];
  const open: number[] = [];
  for (let i = 0; i < code.length; i++) {
    if (code[i] === '{') open.push(i);
    if (code[i] !== '}') continue;
    const start = open.pop();
    if (start === undefined || !opensFunction(code, start)) continue;
    const line = lineAt(code, start);
    const head = code.slice(code.lastIndexOf('\n', start) + 1, start).trim();
    found.push({ line, lines: lineAt(code, i) - line + 1, head });
  }
  return found;
}

/** Whether the brace at `brace` opens the body of a function, a method or an arrow function. */
function opensFunction(code: string, brace: number): boolean {
  let close = code.slice(0, brace).trimEnd().length - 1;
  if (code.slice(close - 1, close + 1) === '=>') return true;
  if (code[close] !== ')') close = parenBeforeReturnType(code, close);
  if (close < 0) return false;
  let depth = 0;
  let i = close;
  for (; i >= 0; i--) {
    if (code[i] === ')') depth++;
    if (code[i] === '(' && --depth === 0) break;
  }
  return !/\b(?:if|for|while|switch|catch|case|await)\s*$/.test(code.slice(0, i));
}

function parenBeforeReturnType(code: string, from: number): number {
  let depth = 0;
  for (let i = from; i >= 0; i--) {
    const c = code[i] ?? '';
    const endsStatement = c === ';' || c === '=' || (c === '}' && code[i + 1] === '\n');
    if (c === '>' && code[i - 1] === '=') i--;
    else if (depth === 0 && endsStatement) return -1;
    else if (')]}>'.includes(c)) depth++;
    else if ('([{<'.includes(c) && --depth < 0) return -1;
    else if (depth === 0 && c === ':') {
      const before = code.slice(0, i).trimEnd().length - 1;
      return code[before] === ')' ? before : -1;
    }
  }
  return -1;
}
