import { createHmac, timingSafeEqual } from 'node:crypto';
import type { VirtualKey } from '../../schemas/control-record.ts';
import { randomText } from './id-source.ts';

const SHAPE = /^rk_([A-Za-z0-9]{12})_([A-Za-z0-9]{32})$/;

/** Takes `rk_<public_id>_<secret>` apart; null when it has another shape. */
export const parseVirtualKey = (text: string): { publicId: string; secret: string } | null => {
  const match = SHAPE.exec(text);
  return match?.[1] && match[2] ? { publicId: match[1], secret: match[2] } : null;
};

/** A new key: shown once, kept only as its hash. 190 bits of secret. */
export const createVirtualKey = (): { text: string; publicId: string; secret: string } => {
  const publicId = randomText(12);
  const secret = randomText(32);
  return { text: `rk_${publicId}_${secret}`, publicId, secret };
};

/** HMAC-SHA256 under the house's pepper: a stolen record does not verify without it. */
export const hashSecret = (secret: string, pepper: string): string =>
  createHmac('sha256', pepper).update(secret).digest('hex');

const NO_KEY = '0'.repeat(64);

/**
 * What proved right for a record, as long as the record is in force: proving costs more than all else that is asked of a key on a
 * call. Wrong secrets and unknown ids are never in here, so both take the whole way.
 */
const proven = new WeakMap<VirtualKey, { presented: Buffer; pepper: string }>();

const isProven = (record: VirtualKey, presented: string, pepper: string): boolean => {
  const known = proven.get(record);
  if (known?.pepper !== pepper) return false;
  const given = Buffer.from(presented);
  return given.length === known.presented.length && timingSafeEqual(given, known.presented);
};

/**
 * Finds the key a caller presented. An unknown id and a wrong secret take the same path and time.
 * @returns the key record, or null.
 */
export const findVirtualKey = (
  presented: string,
  byPublicId: ReadonlyMap<string, VirtualKey>,
  pepper: string,
): VirtualKey | null => {
  const parsed = parseVirtualKey(presented);
  const record = parsed ? byPublicId.get(parsed.publicId) : undefined;
  if (record && isProven(record, presented, pepper)) return record;
  const given = Buffer.from(hashSecret(parsed?.secret ?? '', pepper), 'hex');
  const wanted = Buffer.from(record?.secret_hash ?? NO_KEY, 'hex');
  if (!timingSafeEqual(given, wanted) || !record) return null;
  proven.set(record, { presented: Buffer.from(presented), pepper });
  return record;
};
