/**
 * Reads the data part of a price source (JSON, or the object literals of a JavaScript bundle) without running it and without
 * turning a number into a float: numbers come back as their source text.
 */
export class SourceNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}
export type SourceValue =
  | SourceNumber
  | string
  | boolean
  | null
  | SourceValue[]
  | { [key: string]: SourceValue };

const SPACE = /[\s,]*/y;
const STRING = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`/y;
const NUMBER = /-?\d[\d.]*(?:e[+-]?\d+)?/iy;
const WORD = /!0|!1|true|false|null|void 0|[A-Za-z_$][\w$]*/y;

class Reader {
  #at: number;
  readonly #text: string;
  constructor(text: string, start: number) {
    this.#text = text;
    this.#at = start;
  }

  #take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (!match) return null;
    this.#at = pattern.lastIndex;
    return match[0];
  }

  #fail(expected: string): never {
    const found = JSON.stringify(this.#text.slice(this.#at, this.#at + 40));
    throw new SyntaxError(
      `Expected ${expected} at character ${this.#at} of the price source, found ${found}.`,
    );
  }

  #string(): string | null {
    const quoted = this.#take(STRING);
    if (quoted === null) return null;
    return quoted
      .slice(1, -1)
      .replace(/\\(.)/gs, (_, char: string) => (char === 'n' ? '\n' : char));
  }

  value(): SourceValue {
    this.#take(SPACE);
    const next = this.#text[this.#at];
    if (next === '{') return this.#object();
    if (next === '[') return this.#array();
    const text = this.#string();
    if (text !== null) return text;
    const number = this.#take(NUMBER);
    if (number !== null) return new SourceNumber(number);
    switch (this.#take(WORD)) {
      case '!0':
      case 'true':
        return true;
      case '!1':
      case 'false':
        return false;
      case 'null':
      case 'void 0':
        return null;
      default:
        return this.#fail('a value');
    }
  }

  #array(): SourceValue[] {
    const items: SourceValue[] = [];
    this.#at += 1;
    for (;;) {
      this.#take(SPACE);
      if (this.#text[this.#at] === ']') break;
      items.push(this.value());
    }
    this.#at += 1;
    return items;
  }

  #object(): { [key: string]: SourceValue } {
    const entries: [string, SourceValue][] = [];
    this.#at += 1;
    for (;;) {
      this.#take(SPACE);
      if (this.#text[this.#at] === '}') break;
      const key = this.#string() ?? this.#take(WORD) ?? this.#fail('a key');
      this.#take(SPACE);
      if (this.#text[this.#at] !== ':') this.#fail('a colon');
      this.#at += 1;
      entries.push([key, this.value()]);
    }
    this.#at += 1;
    return Object.fromEntries(entries);
  }
}

/** The first array in the text, as values. Throws SyntaxError with the place where it cannot go on. */
export const readSourceArray = (text: string): SourceValue[] => {
  const start = text.search(/\[\s*\{/);
  if (start < 0) throw new SyntaxError('The price source holds no array of objects.');
  const value = new Reader(text, start).value();
  return Array.isArray(value) ? value : [];
};
