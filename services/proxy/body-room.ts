/** Why a body cannot be held: this key holds its share already, or all room is taken. */
export type NoRoom = 'key_share' | 'all_taken';

/** What one call holds. */
export interface HeldBody {
  /** @returns null when there is room for so many bytes more; they are held then. */
  take(keyId: string, bytes: number): NoRoom | null;
  release(): void;
}

/** Room for the bodies of all calls under way, so that many large ones cannot use up the memory of the process. */
export interface BodyRoom {
  hold(): HeldBody;
}

/** The most one key may hold, so that a single one cannot shut out the others. */
const KEY_SHARE = 0.25;

/** @param bytesMax of all calls. @param bodyBytesMax of one: a key may hold at least that much. */
export const createBodyRoom = (bytesMax: number, bodyBytesMax: number): BodyRoom => {
  const share = Math.max(bodyBytesMax, Math.floor(bytesMax * KEY_SHARE));
  const byKey = new Map<string, number>();
  let all = 0;
  return {
    hold: () => {
      let key = '';
      let held = 0;
      return {
        take: (keyId, bytes) => {
          key = keyId;
          const ofKey = (byKey.get(keyId) ?? 0) + bytes;
          if (ofKey > share) return 'key_share';
          if (all + bytes > bytesMax) return 'all_taken';
          byKey.set(keyId, ofKey);
          all += bytes;
          held += bytes;
          return null;
        },
        release: () => {
          if (held === 0) return;
          const left = (byKey.get(key) ?? 0) - held;
          if (left > 0) byKey.set(key, left);
          else byKey.delete(key);
          all -= held;
          held = 0;
        },
      };
    },
  };
};
