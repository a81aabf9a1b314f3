const LETTERS = '0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/** A bijection of 32-bit numbers (xor-shift-multiply): ids look random and still cannot collide within one sandbox. */
const mixed = (value: number): number => {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
};

const inLetters = (value: number): string => {
  let rest = value;
  let text = '';
  for (let digit = 0; digit < 6; digit += 1) {
    text += LETTERS[rest % LETTERS.length];
    rest = Math.floor(rest / LETTERS.length);
  }
  return text;
};

/** Ids in the vendors' looks, unique within one sandbox; the seed decides the whole sequence. */
export class ProviderIds {
  readonly #seed: number;
  #count = 0;

  constructor(seed: number) {
    this.#seed = mixed(seed);
  }

  #words(): readonly [number, number, number, number] {
    this.#count += 1;
    const first = mixed(this.#count ^ this.#seed);
    const second = mixed(first + 0x9e3779b9);
    const third = mixed(second + this.#seed);
    return [first, second, third, mixed(third + 0x85ebca6b)];
  }

  /** `prefix` and 32 hexadecimal digits, as OpenAI has them. */
  hex(prefix: string): string {
    return (
      prefix +
      this.#words()
        .map((word) => word.toString(16).padStart(8, '0'))
        .join('')
    );
  }

  /** `prefix` and 24 letters and digits, as Anthropic and OpenAI's chat have them. */
  letters(prefix: string): string {
    return prefix + this.#words().map(inLetters).join('');
  }
}
