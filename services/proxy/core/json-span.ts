/** Where a value or a member stands in the source text: half-open offsets in UTF-16 units. */
export interface Span {
  start: number;
  end: number;
}

/** A member of an object: `key` from its opening quote, `value` without surrounding blanks. */
export interface MemberSpan {
  key: Span;
  value: Span;
}

const isBlank = (code: number): boolean =>
  code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

const skipBlanks = (text: string, from: number): number => {
  let at = from;
  while (at < text.length && isBlank(text.charCodeAt(at))) at += 1;
  return at;
};

/** @returns the offset behind the closing quote. */
const skipString = (text: string, from: number): number => {
  let at = from + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at += 2;
    else if (code === 0x22) return at + 1;
    else at += 1;
  }
  return at;
};

/** @returns the offset behind the value that starts at `from`. */
const skipValue = (text: string, from: number): number => {
  const first = text[from];
  if (first === '"') return skipString(text, from);
  let at = from;
  if (first !== '{' && first !== '[') {
    while (at < text.length && !',}]'.includes(text[at] ?? '') && !isBlank(text.charCodeAt(at))) {
      at += 1;
    }
    return at;
  }
  let depth = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = skipString(text, at);
      continue;
    }
    if (code === 0x7b || code === 0x5b) depth += 1;
    if (code === 0x7d || code === 0x5d) depth -= 1;
    at += 1;
    if (depth === 0) return at;
  }
  return at;
};

/** Whether a key, as written between its quotes, spells the name: callers may write any letter as an escape. */
const spells = (written: string, name: string): boolean => {
  if (!written.includes('\\')) return written === name;
  try {
    return JSON.parse(`"${written}"`) === name;
  } catch {
    return false;
  }
};

/**
 * Finds a member of the object that starts at `from`, in text that `JSON.parse` has accepted. A name that stands twice gives the
 * last one, however it is spelt, as `JSON.parse` does.
 */
export const findMember = (text: string, name: string, from = 0): MemberSpan | null => {
  let at = skipBlanks(text, from);
  if (text[at] !== '{') return null;
  at = skipBlanks(text, at + 1);
  let found: MemberSpan | null = null;
  while (at < text.length && text[at] === '"') {
    const key = { start: at, end: skipString(text, at) };
    at = skipBlanks(text, key.end);
    if (text[at] !== ':') return found;
    const start = skipBlanks(text, at + 1);
    const value = { start, end: skipValue(text, start) };
    if (spells(text.slice(key.start + 1, key.end - 1), name)) found = { key, value };
    at = skipBlanks(text, value.end);
    if (text[at] !== ',') return found;
    at = skipBlanks(text, at + 1);
  }
  return found;
};

/**
 * How many members of an object spell the name, in any case: of two some readers obey the first, and some mind no case.
 * @param text that `JSON.parse` has accepted.
 */
export const countMembers = (text: string, name: string): number => {
  let at = skipBlanks(text, skipBlanks(text, 0) + 1);
  let count = 0;
  while (at < text.length && text[at] === '"') {
    const end = skipString(text, at);
    const written = text.slice(at, end);
    // A long key is none of the few names there are, however it is escaped.
    if (written.length <= 2 + 6 * name.length) {
      const key: unknown = JSON.parse(written);
      if (typeof key === 'string' && key.toLowerCase() === name) count += 1;
    }
    const colon = skipBlanks(text, end);
    at = skipBlanks(text, skipValue(text, skipBlanks(text, colon + 1)));
    if (text[at] === ',') at = skipBlanks(text, at + 1);
  }
  return count;
};

/** Source text of the value at a path of member names, or null. */
export const sourceAt = (text: string, path: readonly string[]): string | null => {
  let start = 0;
  let end = text.length;
  for (const name of path) {
    const member = findMember(text, name, start);
    if (!member) return null;
    ({ start, end } = member.value);
  }
  return text.slice(start, end);
};

/** Removes a member together with the comma that its presence made necessary. */
export const removeMember = (text: string, member: MemberSpan): string => {
  let before = member.key.start;
  while (before > 0 && isBlank(text.charCodeAt(before - 1))) before -= 1;
  if (text[before - 1] === ',') return text.slice(0, before - 1) + text.slice(member.value.end);
  const after = skipBlanks(text, member.value.end);
  const end = text[after] === ',' ? skipBlanks(text, after + 1) : member.value.end;
  return text.slice(0, member.key.start) + text.slice(end);
};
