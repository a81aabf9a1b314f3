import { randomBytes } from 'node:crypto';
import { v7 } from 'uuid';

/** Makes ids. UUIDv7: ordered by time, unique without asking anybody. */
export const newId = (): string => v7();

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Random text of the alphabet A-Z a-z 0-9, without modulo bias. */
export const randomText = (length: number): string => {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += ALPHABET[byte % 62];
    }
  }
  return text;
};
