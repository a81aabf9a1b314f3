import type { Statement } from './flavour.ts';

type Figures = Pick<Statement, 'classes'> & Partial<Pick<Statement, 'units' | 'parts'>>;

/** What a reply says beside its figures; undefined where it is silent. */
export type About = {
  [Name in 'rawUsage' | 'model' | 'tier' | 'geo' | 'finishReason' | 'workId' | 'completedAt']?:
    | string
    | undefined;
};

/**
 * Puts a statement together.
 * @param read gives the figures, or throws UnreadableUsage; null when nothing was stated.
 * @param completeness of figures that could be read.
 */
export const makeStatement = (
  about: About,
  read: (() => Figures) | null,
  completeness: 'full' | 'part' | 'running' = 'full',
): Statement => {
  const kept = Object.fromEntries(
    Object.entries(about).filter(([, value]) => value !== undefined),
  ) as Pick<Statement, keyof About>;
  if (!read) return { completeness: 'none', classes: {}, units: {}, ...kept };
  try {
    return { completeness, units: {}, ...read(), ...kept };
  } catch {
    return { completeness: 'unreadable', classes: {}, units: {}, ...kept };
  }
};

/** One text of several source texts, one a line; undefined when there is none. */
export const joinRaw = (pieces: readonly (string | undefined)[]): string | undefined => {
  const text = pieces.filter((piece) => piece !== undefined).join('\n');
  return text === '' || text.length > 65_536 ? undefined : text;
};
