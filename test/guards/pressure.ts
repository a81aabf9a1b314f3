import type { Guard } from './guard.ts';

const KILLED = 'test/integration/proxy-killed.test.ts';
const DISK = 'test/integration/proxy-disk.test.ts';
const JOURNAL = 'services/proxy/attempt-journal.ts';
const ON_JSON = 'a proxy killed while it ends a JSON reply';

/** Durability and pressure: what survives a kill, a full disk, a second process. */
export const pressureGuards: readonly Guard[] = [
  {
    name: 'event-and-its-end-are-one-append',
    protects: ['case 41', 'row 2'],
    file: JOURNAL,
    find: '  { topic: TOPICS.attempts.name, key: event.attempt_id, value: null },',
    replace: '',
    test: { file: KILLED, name: `${ON_JSON} case 41 ·` },
  },
  {
    name: 'closed-once-after-the-flush',
    protects: ['row 2'],
    file: JOURNAL,
    find: '  { topic: TOPICS.attempts.name, key: event.attempt_id, value: null },',
    replace: '',
    test: { file: KILLED, name: `${ON_JSON} row 2 ·` },
  },
  {
    name: 'opened-before-anything-goes-upstream',
    protects: ['row 1'],
    file: JOURNAL,
    find: 'log.append([openedEntry(record, source)])',
    replace: 'log.append([])',
    test: { file: KILLED, name: `${ON_JSON} row 1 ·` },
  },
  {
    name: 'left-open-is-recovered',
    protects: ['case 35'],
    file: 'services/proxy/recover-attempts.ts',
    find: '    else unreadable.push(',
    replace: '    if (decoded.ok) attempts.pop();\n    else unreadable.push(',
    test: { file: KILLED, name: 'case 35 · SIGKILL' },
  },
  {
    name: 'stop-waits-for-calls-in-flight',
    protects: ['case 35'],
    file: 'services/proxy/main.ts',
    find: 'while (built.parts.calls.taken() > 0) {',
    replace: 'while (built.parts.calls.taken() < 0) {',
    test: { file: KILLED, name: 'case 35 · SIGTERM' },
  },
  {
    name: 'full-disk-is-waited-out',
    protects: ['row 8'],
    file: JOURNAL,
    find: 'if (isFinal(error) || waiting > WAITING_MAX)',
    replace: 'if (isFinal(error) || waiting > 0)',
    test: { file: DISK, name: 'row 8 ·' },
  },
  {
    name: 'directory-unusable-in-a-sentence',
    protects: ['row 10'],
    file: 'services/platform/log-directory-lock.ts',
    find: '    if (!isBusy(error)) throw directoryUnusable(directory, error);',
    replace: '    if (!isBusy(error)) throw error;',
    test: { file: DISK, name: 'row 10 · read-only' },
  },
  {
    name: 'one-writer-per-directory',
    protects: ['row 11'],
    file: 'services/platform/log-directory-lock.ts',
    find: "    database.exec('BEGIN EXCLUSIVE');",
    replace: '',
    test: { file: 'test/integration/lmdb-crash.test.ts', name: 'row 11 ·' },
  },
  {
    name: 'ids-do-not-follow-the-clock',
    protects: ['row 12'],
    file: 'services/platform/id-source.ts',
    find: 'return v7({ random, msecs, seq });',
    replace: 'return v7({ random: Buffer.alloc(16), msecs: now, seq: 0 });',
    test: { file: 'test/integration/proxy-clock.test.ts', name: 'row 12 ·' },
  },
  {
    name: 'disk-means-a-disk',
    protects: ['case 36'],
    file: 'services/cli/check-durability.ts',
    find: "config.durability === 'disk' && volatile !== null",
    replace: "config.durability === 'disk' && volatile === 'none'",
    test: { file: DISK, name: 'case 36 · durability' },
  },
  {
    name: 'age-of-what-waits-is-a-mark',
    protects: ['case 37'],
    file: 'services/proxy/core/pressure.ts',
    find: "  if (isOver(facts.oldestAgeMs, marks.log_age_ms_max, held.has('log_age'))) causes.add('log_age');",
    replace: '',
    test: { file: 'test/integration/proxy-pressure.test.ts', name: 'case 37 ·' },
  },
  {
    name: 'a-reader-gone-is-no-failure',
    protects: ['case 20'],
    file: 'services/cli/main.ts',
    find: "  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);",
    replace: '',
    test: { file: DISK, name: 'case 20 · closed' },
  },
];
