import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { routeOf } from '../../../services/proxy/core/route.ts';
import { createReplyMeter } from '../../../services/proxy/reply-meter.ts';

interface Recording {
  src: string;
  uri: string;
  status: number;
  headers: Record<string, string>;
  response: string;
  stream: 'json' | 'sse' | 'binary';
}

const FILE = join(import.meta.dirname, '../../../../shared/recordings/provider-responses.jsonl');
const HOSTS = new Set(['api.openai.com', 'api.anthropic.com', 'api.groq.com']);
const WANTED = new Set([
  'openai.chat',
  'openai.responses',
  'openai.embeddings',
  'anthropic.messages',
]);

const recordings = (): { recording: Recording; flavour: string }[] =>
  readFileSync(FILE, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Recording)
    .filter((r) => HOSTS.has(new URL(r.uri).host) && r.status === 200)
    .map((recording) => ({
      recording,
      flavour: routeOf('POST', `/x${new URL(recording.uri).pathname}`)?.flavour ?? '',
    }))
    .filter(({ flavour }) => WANTED.has(flavour));

/** Every usage object in a body, found without any of the proxy's code. */
const usagesIn = (recording: Recording): Record<string, number>[] => {
  const texts =
    recording.stream === 'json'
      ? [recording.response]
      : recording.response
          .split('\n')
          .filter((line) => line.startsWith('data: {'))
          .map((line) => line.slice(6));
  return texts
    .map((text) => JSON.parse(text))
    .map((body) => body.usage ?? body.response?.usage ?? body.message?.usage)
    .filter((usage) => usage);
};

const sum = (classes: object, prefix: RegExp): number =>
  Object.entries(classes)
    .filter(([name]) => prefix.test(name))
    .reduce((total, [, count]) => total + Number(count), 0);

describe.skipIf(!existsSync(FILE))(
  'real replies (skipped where ../shared/recordings is absent)',
  () => {
    const cases = existsSync(FILE) ? recordings() : [];

    test('there are many of them', () => {
      expect(cases.length).toBeGreaterThan(250);
    });

    test.each(cases.map((c, index) => ({ ...c, index })))(
      '$index $flavour $recording.stream $recording.src satisfies the check identity',
      ({ recording, flavour }) => {
        const type = recording.stream === 'sse' ? 'text/event-stream' : 'application/json';
        const meter = createReplyMeter(flavour as 'openai.chat', type);
        const bytes = Buffer.from(recording.response);
        // Awkward boundaries: in the middle of names, numbers and multi-byte characters.
        for (let at = 0; at < bytes.length; at += 13) meter.feed(bytes.subarray(at, at + 13));
        meter.end();
        const statement = meter.statement();
        const usages = usagesIn(recording);
        if (usages.length === 0) {
          expect(statement.completeness).toBe('none');
          return;
        }
        expect(statement.completeness).toBe('full');
        expect(statement.rawUsage).toBeDefined();
        // A compaction's reply names no model.
        if (!recording.uri.endsWith('/compact')) expect(statement.model).toBeDefined();
        const { classes } = statement;
        const last = Object.assign({}, ...usages);
        if (flavour === 'anthropic.messages') {
          const turns = last.iterations?.length ? last.iterations : [last];
          const input = (u: Record<string, number>): number =>
            (u['input_tokens'] ?? 0) +
            (u['cache_read_input_tokens'] ?? 0) +
            (u['cache_creation_input_tokens'] ?? 0);
          const total = (of: (u: Record<string, number>) => number): number =>
            turns.reduce((all: number, turn: Record<string, number>) => all + of(turn), 0);
          expect(sum(classes, /^(input|cache)/)).toBe(total(input));
          expect(sum(classes, /^output/)).toBe(total((u) => u['output_tokens'] ?? 0));
          return;
        }
        expect(sum(classes, /^(input|cache)/)).toBe(last.prompt_tokens ?? last.input_tokens);
        expect(sum(classes, /^(input|cache|output)/)).toBe(last.total_tokens);
        const details = last.prompt_tokens_details ?? last.input_tokens_details;
        expect(sum(classes, /^cache_read/)).toBe(details?.cached_tokens ?? 0);
      },
    );
  },
);
