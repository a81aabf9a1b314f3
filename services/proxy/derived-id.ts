import { createHash } from 'node:crypto';

/**
 * An id that follows from another and a label: the same fact gets the same id in every repeat, by whomever it is written.
 * A UUID of version 8 (RFC 9562), made of SHA-256.
 */
export const derivedId = (from: string, label: string): string => {
  const hex = createHash('sha256').update(`${from}/${label}`).digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
};
