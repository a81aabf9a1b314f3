import { expect, test } from 'vitest';
import { createBodyRoom } from '../../../services/proxy/body-room.ts';

test('one key may hold a quarter of the room, all keys together the whole of it', () => {
  const room = createBodyRoom(400, 50);
  const calls = ['a', 'b', 'c', 'd'].map((key) => ({ key, held: room.hold() }));
  for (const { key, held } of calls) expect(held.take(key, 100)).toBeNull();
  expect(room.hold().take('a', 1)).toBe('key_share');
  expect(room.hold().take('e', 1)).toBe('all_taken');
});

test('a key may always hold one body of the largest size, however small its share is', () => {
  expect(createBodyRoom(100, 80).hold().take('a', 80)).toBeNull();
});

test('what a call held is there again when it has ended, once', () => {
  const room = createBodyRoom(100, 100);
  const first = room.hold();
  expect(first.take('a', 60)).toBeNull();
  expect(first.take('a', 40)).toBeNull();
  expect(room.hold().take('a', 1)).toBe('key_share');
  first.release();
  first.release();
  const second = room.hold();
  expect(second.take('a', 100)).toBeNull();
  expect(second.take('a', 1)).toBe('key_share');
});
