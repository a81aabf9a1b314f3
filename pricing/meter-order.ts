import type { Meter } from '../schemas/words.ts';
import { CLASS_KEYS, UNITS } from '../schemas/words.ts';

/** Every meter in the order in which charges are written: classes, then units. A replay must write the same bytes. */
export const METERS: readonly Meter[] = [...CLASS_KEYS, ...UNITS];

const PLACE = new Map<string, number>(METERS.map((meter, place) => [meter, place]));

export const compareMeters = (left: string, right: string): number =>
  (PLACE.get(left) ?? METERS.length) - (PLACE.get(right) ?? METERS.length);

const TOKEN_METERS = new Set<string>(CLASS_KEYS);
export const isTokenMeter = (meter: string): boolean => TOKEN_METERS.has(meter);

const INPUT_CLASS = /^(input_|cache_)/;
/** Whether the meter counts towards a request's total input, which is what context cliffs look at: cached tokens do. */
export const isInputMeter = (meter: string): boolean =>
  isTokenMeter(meter) && INPUT_CLASS.test(meter);
